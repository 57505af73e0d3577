//! What the service does, over the ports. The HTTP side works through
//! [`BoxOffice`], the worker through [`DecidingDesk`].

mod announce;
mod audit_shows;
mod box_office;
mod change_show;
mod change_ticket;
mod decide_orders;
mod list_show_tickets;
mod listen;
mod place_order;
mod read_ticket;

pub use audit_shows::{AuditedShows, audit_shows};
pub use box_office::{BoxOffice, BoxOfficeParts};
pub use change_show::ChangedShow;
pub use change_ticket::{ChangeTicketError, ChangedTicket};
pub use decide_orders::{DecideOrdersError, Decided, DecidingDesk, Swept};
pub use list_show_tickets::{ListShowTicketsError, ShowTickets};
pub use place_order::{OrderRequest, PlaceOrderError, PlacedOrder};
pub use read_ticket::{LineHint, ListTicketsError, ReadTicketError, TicketView};
