//! Statements of many rows, for databases that take a placeholder for each value: cut into chunks
//! of fixed sizes and padded to a few lengths, so that each text is prepared once per connection
//! and then reused.

/// Sizes of chunks, the largest first. 1,000 rows of tickets have 14,000 placeholders: SQLite takes
/// 32,766 of them, MySQL's protocol 65,535.
const CHUNKS: [usize; 4] = [1_000, 100, 10, 1];

/// `items` in chunks of 1,000, 100, 10 and 1.
pub fn chunks<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|size| *size <= items.len())?;
        let (chunk, rest) = items.split_at(size);
        items = rest;
        Some(chunk)
    })
}

/// `items`, the last of them repeated up to the next of the lengths 1, 2, 3, 4,
/// 6, 8, 12, 16, 24, 32 …, so that an `IN (…)` list of any length has one of a
/// few texts.
#[must_use]
pub fn padded<T>(items: &[T]) -> Vec<&T> {
    let power = items.len().next_power_of_two();
    let length = if items.len() <= power / 4 * 3 {
        power / 4 * 3
    } else {
        power
    };
    let last = items.last().into_iter().cycle();
    items.iter().chain(last).take(length).collect()
}

/// `count` times `part`, separated by commas.
#[must_use]
pub fn repeated(part: &str, count: usize) -> String {
    vec![part; count].join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_a_few_sizes_and_cover_everything() {
        let items: Vec<_> = (0..2_123).collect();
        let sizes: Vec<_> = chunks(&items).map(<[_]>::len).collect();
        assert_eq!(sizes, [1_000, 1_000, 100, 10, 10, 1, 1, 1]);
        assert_eq!(chunks(&items).flatten().count(), items.len());
        assert_eq!(chunks(&items[..0]).count(), 0);
    }

    #[test]
    fn lists_are_padded_with_their_last_item() {
        let lengths = |count| padded(&vec![7; count]).len();
        let all: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 9, 13, 17, 25, 500]
            .map(lengths)
            .into();
        assert_eq!(all, [1, 2, 3, 4, 6, 6, 8, 12, 16, 24, 32, 512]);
        assert_eq!(padded(&[1, 2, 3, 4, 5]), [&1, &2, &3, &4, &5, &5]);
    }
}
