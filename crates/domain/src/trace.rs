//! Which trace something belongs to: W3C Trace Context, of which a span is made outside.

use std::fmt;

/// A span of a trace, as others name it. Neither id is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Of the trace, 16 bytes.
    pub trace_id: u128,
    /// Of the span, 8 bytes.
    pub span_id: u64,
}

/// A header `traceparent`: the span that caused something, and whether its trace is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The span.
    pub context: TraceContext,
    /// Whether the one who sent it records the trace.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Of its text, in bytes.
    pub const LENGTH: usize = 55;

    /// `None` for what is none; what a later version says beyond the first four fields is left out.
    ///
    /// ```
    /// use domain::trace::TraceParent;
    ///
    /// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// let parent = TraceParent::parse(text).unwrap();
    /// assert!(parent.is_sampled);
    /// assert_eq!(parent.to_string(), text);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(5, '-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let span_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
        let flags = hex(fields.next()?, 2)?;
        let has_more = fields.next().is_some();
        let is_version = version != 0xff && (version > 0 || !has_more);
        (is_version && trace_id != 0 && span_id != 0).then_some(Self {
            context: TraceContext { trace_id, span_id },
            is_sampled: flags & 1 == 1,
        })
    }
}

/// In small letters only, as the specification wants it.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_hex = text.len() == digits && text.bytes().all(is_digit);
    is_hex.then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceContext { trace_id, span_id } = self.context;
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_a_later_version_adds_is_left_out() {
        let known = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap();
        assert!(!known.is_sampled);
        assert_eq!(known.to_string().len(), TraceParent::LENGTH);
        let later = TraceParent::parse(&format!("cc-{TRACE}-{SPAN}-02-what-else")).unwrap();
        assert_eq!(later, known);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let nothing = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{nothing}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &nothing[16..]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00-ä{}-{SPAN}-01", &TRACE[2..]),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }
}
