//! Chance, from a seed: what is thrown once can be thrown again.

/// The characters of a token (RFC 9110 section 5.6.2).
const TOKEN: &[u8] = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub struct Dice(fastrand::Rng);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(fastrand::Rng::with_seed(seed))
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u32) -> bool {
        self.0.u32(..times) == 0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit)
    }

    pub fn up_to(&mut self, most: usize) -> usize {
        self.0.usize(..=most)
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())]
    }

    /// One of these with its letters in capitals or not, as it comes.
    pub fn spelling(&mut self, text: &str) -> String {
        text.chars().map(|c| if self.0.bool() { c.to_ascii_uppercase() } else { c }).collect()
    }

    pub fn token(&mut self) -> String {
        let length = if self.once_in(20) { 100 } else { 1 + self.below(12) };
        (0..length).map(|_| self.one_of(TOKEN) as char).collect()
    }

    /// What a field may say, without white space around it: any visible character, spaces and tabs, and nothing at all;
    /// with bytes above ASCII where `latin` says so.
    pub fn value(&mut self, latin: bool) -> String {
        let length = self.one_of(&[0, 1, 8, 8, 30, 30, 30, 300]);
        let value: String = (0..self.up_to(length)).map(|_| self.value_char(latin)).collect();
        value.trim_matches([' ', '\t']).to_owned()
    }

    fn value_char(&mut self, latin: bool) -> char {
        match self.0.u8(..10) {
            0 => '\t',
            1 => ' ',
            2 => self.one_of(b",;:\"\\()={}") as char,
            3 if latin => self.0.u8(0x80..) as char,
            _ => self.0.u8(b'!'..=b'~') as char,
        }
    }

    /// A path and perhaps a query, of all the characters that either may have.
    pub fn path_and_query(&mut self) -> String {
        let most = self.one_of(&[1, 10, 10, 40, 40, 2000]);
        let length = self.up_to(most);
        let mut target = String::from("/");
        while target.len() <= length {
            target.push(self.0.u8(b'!'..=b'~') as char);
            if target.contains('#') || target.parse::<http::uri::PathAndQuery>().is_err() {
                target.pop();
            }
        }
        target
    }

    /// A body of nothing up to 200 KB.
    pub fn body(&mut self) -> Vec<u8> {
        // Around the longest body that is held for another try, too.
        let most = self.one_of(&[0, 1, 100, 1024, 1025, 5000, 65_536, 65_537, 200_000]);
        let length = if self.0.bool() { most } else { self.up_to(most) };
        let mut body = vec![0; length];
        self.0.fill(&mut body);
        body
    }

    /// A body in the chunked coding: sizes with capitals, zeros in front and extensions as it comes.
    pub fn chunked(&mut self, body: &[u8]) -> Vec<u8> {
        let most = self.one_of(&[1 + body.len() / 1000, 17, 1000, 70_000]).max(1 + body.len() / 1000);
        let mut bytes = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((1 + self.below(most)).min(rest.len()));
            let size = match self.0.u8(..4) {
                0 => format!("{:X}", chunk.len()),
                1 => format!("{:06x}", chunk.len()),
                2 => format!("{:x};x=\"y\"", chunk.len()),
                _ => format!("{:x}", chunk.len()),
            };
            bytes.extend_from_slice(size.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            rest = after;
        }
        bytes.extend_from_slice(if self.once_in(4) { b"000\r\n\r\n" } else { b"0\r\n\r\n" });
        bytes
    }

    /// The same bytes in parts, each of which becomes a write.
    pub fn parts<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let most = self.one_of(&[0, 0, 1, 5, 40]);
        let mut cuts: Vec<usize> = (0..most).map(|_| self.below(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).filter(|part| !part.is_empty()).collect()
    }

    /// A field line, with the white space that is allowed around its value.
    pub fn line(&mut self, name: &str, value: &str) -> Vec<u8> {
        let (before, after) =
            (self.one_of(&["", " ", " ", " ", "\t", " \t "]), self.one_of(&["", "", " ", "\t "]));
        format!("{name}:{before}{value}{after}\r\n").chars().map(|c| c as u8).collect()
    }
}
