//! Orders that could not be decided.

use async_trait::async_trait;
use domain::order::Order;
use domain::ports::{DeadLetter, DeadLetters, DeadLettersError, PublishError};

use crate::MemoryQueue;

#[async_trait]
impl DeadLetters for MemoryQueue {
    async fn put(&self, letter: DeadLetter) -> Result<(), DeadLettersError> {
        let capacity = self.shared.dead_letter_capacity;
        let mut letters = self.shared.dead_letters.lock();
        if letters.len() >= capacity {
            return Err(DeadLettersError::Full { capacity });
        }
        letters.push_back(letter);
        Ok(())
    }

    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let letters = self.shared.dead_letters.lock();
        Ok(letters.iter().take(limit).cloned().collect())
    }

    async fn count(&self) -> Result<usize, DeadLettersError> {
        Ok(self.shared.dead_letters.lock().len())
    }

    /// Ends with [`DeadLettersError::Unavailable`] when the queue is full.
    async fn redrive(&self, limit: usize) -> Result<usize, DeadLettersError> {
        let queue = &self.shared;
        let mut put_back = 0;
        let mut is_full = false;
        queue.dead_letters.lock().retain(|letter| {
            let Some(order) = &letter.order else {
                return true;
            };
            if put_back == limit || is_full {
                return true;
            }
            is_full = !queue.reserve();
            if is_full {
                return true;
            }
            queue.lane_of(&order.show_id).append(Order {
                redriven: true,
                ..order.clone()
            });
            put_back += 1;
            false
        });
        if is_full {
            return Err(DeadLettersError::Unavailable(Box::new(
                PublishError::Full {
                    capacity: queue.capacity,
                },
            )));
        }
        Ok(put_back)
    }
}
