//! The text of a page in chunks: cut at the borders of blocks, with the links of each chunk by their numbers.

use super::driver::PageText;
use std::fmt::Write;

/// Addresses that are listed under a chunk, and characters of each.
const LINKS_MAX: usize = 300;
const LINK_MAX_CHARS: usize = 500;

/// The text of one page, as it was when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    chunks: Vec<String>,
    links: Vec<String>,
}

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// In how many lines it stands.
    pub(crate) count: usize,
    /// Which of them this is, from 1.
    pub(crate) place: usize,
    /// The chunk, from 1.
    pub(crate) chunk: usize,
    pub(crate) line: String,
}

impl Chunks {
    /// Cuts a text into chunks of at most so many characters.
    pub(crate) fn of(text: PageText, chunk_size: usize) -> Self {
        let mut chunks = Vec::new();
        let mut chunk = String::new();
        let mut length = 0;
        for block in text.blocks.iter().flat_map(|block| pieces(block, chunk_size)) {
            let size = block.chars().count();
            if length > 0 && length + 2 + size > chunk_size {
                chunks.push(std::mem::take(&mut chunk));
                length = 0;
            }
            if length > 0 {
                chunk.push_str("\n\n");
                length += 2;
            }
            chunk.push_str(block);
            length += size;
        }
        chunks.push(chunk);
        Self { chunks, links: text.links }
    }

    /// How many there are, at least one.
    pub(crate) fn count(&self) -> usize {
        self.chunks.len()
    }

    /// A chunk by its number from 1, with a head and the addresses of its links.
    pub(crate) fn shown(&self, number: usize) -> Option<String> {
        let chunk = self.chunks.get(number.checked_sub(1)?)?;
        let mut shown = format!("(chunk {number} of {})\n\n{chunk}", self.count());
        let mut numbers: Vec<usize> = linked(chunk).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let known = numbers.iter().filter_map(|number| Some((number, self.links.get(number.checked_sub(1)?)?)));
        for (place, (number, url)) in known.take(LINKS_MAX).enumerate() {
            let head = if place == 0 { "\n\nLinks:\n" } else { "\n" };
            let url: String = url.chars().take(LINK_MAX_CHARS).collect();
            let _ = write!(shown, "{head}#{number} {url}");
        }
        Some(shown)
    }

    /// The address of a link by its number.
    pub(crate) fn link(&self, number: usize) -> Option<&str> {
        self.links.get(number.checked_sub(1)?).map(String::as_str)
    }

    /// Searches for a text in any case: the place after the given one, around the end to the first.
    pub(crate) fn find(&self, text: &str, after: usize) -> Option<Found> {
        let wanted = text.to_lowercase();
        let lines =
            self.chunks.iter().enumerate().flat_map(|(chunk, text)| text.lines().map(move |line| (chunk + 1, line)));
        let places: Vec<_> = lines.filter(|(_, line)| line.to_lowercase().contains(&wanted)).collect();
        let place = if after >= places.len() { 0 } else { after };
        let (chunk, line) = *places.get(place)?;
        Some(Found { count: places.len(), place: place + 1, chunk, line: around(line, &wanted) })
    }
}

/// A block in pieces that fit into a chunk.
fn pieces(block: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().nth(size).map_or(rest.len(), |(end, _)| end);
        // At the end of a line, if there is one in the second half.
        let line = rest[..end].rfind('\n').filter(|at| end < rest.len() && *at > end / 2).map_or(end, |at| at + 1);
        let (piece, after) = rest.split_at(line);
        rest = after;
        Some(piece)
    })
}

/// Numbers of the links in a text.
fn linked(text: &str) -> impl Iterator<Item = usize> {
    text.split("](#").skip(1).filter_map(|after| {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        after[..digits].parse().ok()
    })
}

/// Characters of a line that are shown of a place that was found, and of these before it.
const SHOWN_CHARS: usize = 300;
const SHOWN_BEFORE: usize = 100;

/// The part of a line around what was looked for, which is in lower case.
fn around(line: &str, wanted: &str) -> String {
    let lower = line.to_lowercase();
    let place = lower.find(wanted).map_or(0, |at| lower[..at].chars().count());
    line.chars().skip(place.saturating_sub(SHOWN_BEFORE)).take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(blocks: &[&str], size: usize) -> Chunks {
        let links = ["https://a/", "https://b/", "https://c/"].map(str::to_owned).to_vec();
        Chunks::of(PageText { blocks: blocks.iter().map(|block| (*block).to_owned()).collect(), links }, size)
    }

    #[test]
    fn blocks_stay_whole_where_they_fit() {
        let chunks = chunks(&["aaaa", "bbbb", "cccc", "[d](#3) [e](#1)"], 10);
        assert_eq!(chunks.chunks, ["aaaa\n\nbbbb", "cccc", "[d](#3) [e", "](#1)"]);
        assert_eq!(chunks.shown(1).unwrap(), "(chunk 1 of 4)\n\naaaa\n\nbbbb");
        assert!(chunks.shown(3).unwrap().ends_with("Links:\n#3 https://c/"));
        assert_eq!((chunks.shown(0), chunks.shown(5)), (None, None));
        assert_eq!((chunks.link(2), chunks.link(0), chunks.link(4)), (Some("https://b/"), None, None));
    }

    #[test]
    fn an_empty_page_is_one_empty_chunk() {
        assert_eq!(chunks(&[], 10).shown(1).unwrap(), "(chunk 1 of 1)\n\n");
    }

    #[test]
    fn nothing_is_lost_in_the_cutting() {
        let block = "é\u{1f980}x\n".repeat(1_000);
        let whole = chunks(&[&block], 37);
        assert_eq!(whole.chunks.concat(), block);
        assert!(whole.chunks.iter().all(|chunk| chunk.chars().count() <= 37));
    }

    #[test]
    fn a_search_goes_on_and_around() {
        let chunks = chunks(&["one Word", "two", "a word\nthe WORD"], 10);
        let place = |after| chunks.find("word", after).map(|found| (found.count, found.place, found.chunk));
        let found = [0, 1, 2, 3].map(|after| place(after).unwrap());
        assert_eq!(found, [(3, 1, 1), (3, 2, 3), (3, 3, 4), (3, 1, 1)]);
        assert_eq!(chunks.find("nowhere", 0), None);
    }
}
