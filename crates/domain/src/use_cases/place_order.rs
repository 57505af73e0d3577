//! Accepting an order: check, name, queue. The ledger is not written here.

use super::box_office::BoxOffice;
use crate::ids::{ShowId, UserId};
use crate::order::{NewOrder, Order, Quantity};
use crate::ports::{
    Cause, CreateUserError, LedgerError, PublishError, ShowRepositoryError, UserRepositoryError,
};
use crate::principal::Principal;
use crate::receipt::{IdempotencyKey, TicketId};
use crate::show::SalesWindow;
use crate::ticket::Ticket;
use crate::trace::TraceContext;
use crate::user::{PriorityClass, User};

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct OrderRequest {
    /// The show that seats are wanted of.
    pub show_id: ShowId,
    /// Who wants them.
    pub user_id: UserId,
    /// How many, all or none.
    pub quantity: Quantity,
    /// The client's name for this request, if it may repeat it.
    pub key: Option<IdempotencyKey>,
    /// The span of the request, if it is sampled.
    pub trace: Option<Box<TraceContext>>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacedOrder {
    /// The queue has it; it will be decided.
    Queued(Order),
    /// The same request was decided before; its ticket as it stands.
    Replayed(Ticket),
}

/// Why an order was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    /// The caller may not order for this user.
    #[error("the caller may not order for this user")]
    Forbidden,
    /// More seats than one order may have.
    #[error("at most {} seats are allowed", max.seats())]
    QuantityAboveLimit {
        /// The configured limit.
        max: Quantity,
    },
    /// The show has no seats left, and none can come back by the end of a hold.
    #[error("the show is sold out")]
    SoldOut,
    /// There is no such show.
    #[error("the show does not exist")]
    ShowNotFound,
    /// There is no such user.
    #[error("the user does not exist")]
    UserNotFound,
    /// The show takes no orders now.
    #[error("the show takes no orders now")]
    SalesClosed(SalesWindow),
    /// The user's key names another request's ticket, which is decided.
    #[error("the idempotency key was used with another body")]
    KeyConflict,
    /// The order could not be dated: this process's clock is off. It was not sent.
    #[error("the clock of this process is off")]
    ClockOff,
    /// The order was not sent; the client may try again freely.
    #[error("the order was not queued")]
    NotQueued(#[source] PublishError),
    /// The order may be in the queue.
    #[error("the order may or may not be queued")]
    OutcomeUnknown(TicketId),
    /// A store did not answer; the order was not sent.
    #[error("a store is unavailable")]
    StoreUnavailable(#[source] Cause),
}

impl From<ShowRepositoryError> for PlaceOrderError {
    fn from(error: ShowRepositoryError) -> Self {
        Self::StoreUnavailable(Box::new(error))
    }
}

impl From<UserRepositoryError> for PlaceOrderError {
    fn from(error: UserRepositoryError) -> Self {
        Self::StoreUnavailable(Box::new(error))
    }
}

impl From<LedgerError> for PlaceOrderError {
    fn from(error: LedgerError) -> Self {
        Self::StoreUnavailable(Box::new(error))
    }
}

impl BoxOffice {
    /// The most seats of one order.
    #[must_use]
    pub const fn max_quantity(&self) -> Quantity {
        self.parts.max_quantity
    }

    /// Takes an order: once this returns [`PlacedOrder::Queued`], it reaches
    /// exactly one verdict.
    ///
    /// # Errors
    /// [`PlaceOrderError`].
    pub async fn place_order(
        &self,
        principal: &Principal,
        request: OrderRequest,
    ) -> Result<PlacedOrder, PlaceOrderError> {
        let parts = &self.parts;
        if !principal.may_act_for(&request.user_id) {
            return Err(PlaceOrderError::Forbidden);
        }
        // Never with a key: its first attempt may have won a seat.
        if request.key.is_none() && parts.gate.is_closed(&request.show_id, parts.clock.now()) {
            return Err(PlaceOrderError::SoldOut);
        }
        if request.quantity > parts.max_quantity {
            return Err(PlaceOrderError::QuantityAboveLimit {
                max: parts.max_quantity,
            });
        }
        let keyed_id = match &request.key {
            Some(key) => {
                let ids = parts.receipts.keyed(&request.user_id, key);
                // Before everything else: a repetition gets its ticket even
                // when the sale is over by now.
                if let Some(ticket) = parts.ledger.find(&ids).await?.into_iter().next() {
                    return replay(ticket, &request);
                }
                ids.first().copied()
            }
            None => None,
        };
        let show = parts
            .shows
            .find(&request.show_id)
            .await?
            .ok_or(PlaceOrderError::ShowNotFound)?;
        let now = parts.clock.right_now().ok_or(PlaceOrderError::ClockOff)?;
        if !show.terms.window.contains(now) {
            return Err(PlaceOrderError::SalesClosed(show.terms.window));
        }
        let class = match parts.users.class_of(&request.user_id).await? {
            Some(class) => class,
            None => self.enrol(principal, &request.user_id).await?,
        };
        let lane = parts.lanes.of(&request.show_id);
        let issue = || parts.receipts.issue(now, lane, class, &request.user_id);
        let ticket_id = keyed_id.unwrap_or_else(issue);
        let order = NewOrder {
            ticket_id,
            show_id: request.show_id,
            user_id: request.user_id,
            quantity: request.quantity,
            class,
            trace: request.trace,
        };
        match parts.publisher.publish(order).await {
            Ok(order) => {
                parts.tally.count(lane, class, order.requested_at);
                Ok(PlacedOrder::Queued(order))
            }
            // The publisher counts it once the queue has it, which is when its place is known.
            Err(PublishError::OutcomeUnknown) => Err(PlaceOrderError::OutcomeUnknown(ticket_id)),
            Err(not_sent) => Err(PlaceOrderError::NotQueued(not_sent)),
        }
    }
}

impl BoxOffice {
    /// Creates the user that the caller is, if it may be created so.
    async fn enrol(
        &self,
        principal: &Principal,
        id: &UserId,
    ) -> Result<PriorityClass, PlaceOrderError> {
        let class = principal.enrols_as.filter(|_| principal.is(id));
        let class = class.ok_or(PlaceOrderError::UserNotFound)?;
        let users = &self.parts.users;
        // Without an author: it is the user itself, and this is the way of an order.
        match users.create(&User::enrolled(id.clone(), class), None).await {
            Ok(()) => Ok(class),
            // Another order of the same user was first.
            Err(CreateUserError::AlreadyExists) => {
                let found = users.find(id).await?.ok_or(PlaceOrderError::UserNotFound)?;
                Ok(found.priority)
            }
            Err(CreateUserError::Unavailable(cause)) => {
                Err(PlaceOrderError::StoreUnavailable(cause))
            }
        }
    }
}

fn replay(ticket: Ticket, request: &OrderRequest) -> Result<PlacedOrder, PlaceOrderError> {
    let order = &ticket.order;
    // The id is derived from the user too; a stored ticket of somebody else
    // under it would be a collision, and is not to be shown.
    if order.user_id != request.user_id
        || order.show_id != request.show_id
        || order.quantity != request.quantity
    {
        return Err(PlaceOrderError::KeyConflict);
    }
    Ok(PlacedOrder::Replayed(ticket))
}
