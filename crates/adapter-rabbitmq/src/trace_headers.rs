//! Which traces the parts of a message belong to. They are in headers, which a release that knows
//! nothing of them skips, so the body stays as it is.

use domain::event::Event;
use domain::order::Order;
use domain::trace::{TraceContext, TraceParent};
use lapin::types::{AMQPValue, FieldTable};

/// The places of the traced parts in the message, each with its context:
/// `3=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01,17=00-…`.
const TRACES: &str = "tickets-trace";
/// The context of the only traced part, for those who know nothing of this service.
const PARENT: &str = "traceparent";
/// Of one message. Others lose their trace: headers have to fit into a frame.
const MAX: usize = 32;
/// No header of so many is longer.
const MAX_BYTES: usize = MAX * 64;

/// The headers of a message of these orders; `None` if no trace goes on with it.
pub(crate) fn of_orders(orders: &[Order]) -> Option<FieldTable> {
    write(orders.iter().map(|order| order.trace.as_deref()))
}

/// The same of events.
pub(crate) fn of_events(events: &[Event]) -> Option<FieldTable> {
    write(events.iter().map(|event| match event {
        Event::Ticket(ticket) => ticket.order.trace.as_deref(),
        Event::Show(_) | Event::Accepted(_) | Event::Settled(_) => None,
    }))
}

/// Gives the orders of a message what its headers say.
pub(crate) fn into_orders(headers: Option<&FieldTable>, orders: &mut [Order]) {
    for (place, context) in read(headers) {
        if let Some(order) = orders.get_mut(place) {
            order.trace = Some(Box::new(context));
        }
    }
}

/// The same for events.
pub(crate) fn into_events(headers: Option<&FieldTable>, events: &mut [Event]) {
    for (place, context) in read(headers) {
        if let Some(Event::Ticket(ticket)) = events.get_mut(place) {
            ticket.order.trace = Some(Box::new(context));
        }
    }
}

fn write<'a>(parts: impl Iterator<Item = Option<&'a TraceContext>>) -> Option<FieldTable> {
    let traced = parts
        .enumerate()
        .filter_map(|(place, context)| Some((place, *context?)));
    let traced: Vec<_> = traced
        .take(MAX)
        .map(|(place, context)| (place, parent(context)))
        .collect();
    if traced.is_empty() {
        return None;
    }
    let mut headers = FieldTable::default();
    let entries: Vec<_> = traced
        .iter()
        .map(|(place, parent)| format!("{place}={parent}"))
        .collect();
    headers.insert(TRACES.into(), text(entries.join(",")));
    if let [(_, parent)] = traced.as_slice() {
        headers.insert(PARENT.into(), text(parent.to_string()));
    }
    Some(headers)
}

/// The places of traced parts, with their contexts. A place may be one that the message does not
/// have. What cannot be read is left out: no order is worth less for it.
fn read(headers: Option<&FieldTable>) -> Vec<(usize, TraceContext)> {
    let header = headers.and_then(|headers| headers.inner().get(TRACES));
    let Some(AMQPValue::LongString(header)) = header else {
        return Vec::new();
    };
    let bytes = header.as_bytes();
    let Ok(entries) = str::from_utf8(&bytes[..bytes.len().min(MAX_BYTES)]) else {
        return Vec::new();
    };
    let entries = entries.split(',').filter_map(|entry| {
        let (place, parent) = entry.split_once('=')?;
        let parent = TraceParent::parse(parent).filter(|parent| parent.is_sampled)?;
        Some((place.parse().ok()?, parent.context))
    });
    entries.take(MAX).collect()
}

const fn parent(context: TraceContext) -> TraceParent {
    TraceParent {
        context,
        is_sampled: true,
    }
}

fn text(text: String) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn context(n: u64) -> TraceContext {
        TraceContext {
            trace_id: u128::from(n) << 64 | 1,
            span_id: n,
        }
    }

    fn written(traced: &[bool]) -> (Vec<Option<TraceContext>>, Option<FieldTable>) {
        let parts = (1..)
            .zip(traced)
            .map(|(n, traced)| traced.then(|| context(n)));
        let parts: Vec<_> = parts.collect();
        let headers = write(parts.iter().map(Option::as_ref));
        (parts, headers)
    }

    #[test]
    fn a_message_without_a_trace_has_no_headers_and_one_trace_is_the_standards() {
        assert_eq!(written(&[false; 3]).1, None);
        let (_, headers) = written(&[false, true, false]);
        let headers = headers.unwrap();
        let parent = "00-00000000000000020000000000000001-0000000000000002-01";
        let header = |name: &str| headers.inner()[name].clone();
        assert_eq!(header(PARENT), text(parent.to_owned()));
        assert_eq!(header(TRACES), text(format!("1={parent}")));
        let (_, headers) = written(&[true, true]);
        assert!(!headers.unwrap().contains_key(PARENT));
    }

    proptest! {
        #[test]
        fn the_first_traces_of_a_message_come_back(traced in vec(any::<bool>(), 0..200)) {
            let (parts, headers) = written(&traced);
            let expected = parts.iter().enumerate();
            let expected = expected.filter_map(|(place, part)| Some((place, (*part)?)));
            let expected: Vec<_> = expected.take(MAX).collect();
            prop_assert_eq!(read(headers.as_ref()), expected);
            if let Some(headers) = &headers {
                let AMQPValue::LongString(header) = &headers.inner()[TRACES] else { panic!() };
                prop_assert!(header.as_bytes().len() <= MAX_BYTES);
            }
        }

        #[test]
        fn any_bytes_are_read(bytes in vec(any::<u8>(), 0..4_000)) {
            let mut headers = FieldTable::default();
            headers.insert(TRACES.into(), AMQPValue::LongString(bytes.into()));
            prop_assert!(read(Some(&headers)).len() <= MAX);
        }

        #[test]
        fn what_is_nearly_right_is_left_out(header in "([0-9]{0,22}=?(00-[0-9a-f]{31,33}-[0-9a-f]{15,17}-0[01])?,?){0,40}") {
            let mut headers = FieldTable::default();
            headers.insert(TRACES.into(), text(header));
            for (_, context) in read(Some(&headers)) {
                prop_assert!(context.trace_id != 0 && context.span_id != 0);
            }
        }
    }
}
