//! Orders that could not be decided.

use async_trait::async_trait;
use domain::order::Order;
use domain::ports::{DeadLetter, DeadLetters, DeadLettersError};

use super::SimQueue;
use super::queue::cause;

#[async_trait]
impl DeadLetters for SimQueue {
    async fn put(&self, letter: DeadLetter) -> Result<(), DeadLettersError> {
        let world = &self.node.world;
        let fails = || {
            let is_down = world.broker.lock().is_down();
            is_down || world.happens(|weather| weather.letters_fail)
        };
        self.node.step("broker: puts a dead letter aside").await;
        if fails() {
            return Err(DeadLettersError::Unavailable(cause()));
        }
        self.node.note(format_args!("dead: {:?}", letter.order));
        world.broker.lock().letters.push(letter);
        self.node.step("broker: has the dead letter").await;
        if fails() {
            return Err(DeadLettersError::Unavailable(cause()));
        }
        Ok(())
    }

    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        self.node.step("broker: lists dead letters").await;
        let broker = self.node.world.broker.lock();
        Ok(broker.letters.iter().take(limit).cloned().collect())
    }

    async fn count(&self) -> Result<usize, DeadLettersError> {
        Ok(self.node.world.broker.lock().letters.len())
    }

    async fn redrive(&self, limit: usize) -> Result<usize, DeadLettersError> {
        let world = &self.node.world;
        let mut put_back = 0;
        while put_back < limit {
            let first = world.broker.lock().letters.first().cloned();
            let Some(order) = first.and_then(|letter| letter.order) else {
                break;
            };
            self.node.step("broker: puts a dead letter back").await;
            if world.happens(|weather| weather.letters_fail) {
                return Err(DeadLettersError::Unavailable(cause()));
            }
            let lane = world.plan.lanes.of(&order.show_id);
            let id = order.ticket_id;
            let redriven = Order {
                redriven: true,
                ..order
            };
            world.broker.lock().store(world, lane, vec![redriven]);
            self.node.step("broker: removes the dead letter").await;
            let letters = &mut world.broker.lock().letters;
            let is_it = |letter: &DeadLetter| {
                let order = letter.order.as_ref();
                order.is_some_and(|order| order.ticket_id == id)
            };
            if let Some(index) = letters.iter().position(is_it) {
                letters.remove(index);
            }
            put_back += 1;
        }
        Ok(put_back)
    }
}
