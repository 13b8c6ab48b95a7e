//! What a proxy does to fields, said a second time: RFC 9110 section 7.6.1, and what the project promises beyond it.

use std::collections::BTreeMap;

use super::dice::Dice;

/// A field as it is sent: a name and a value without the white space around it.
pub type Field = (String, String);

/// The values of each field in their order, by the name in small letters.
pub type Fields = BTreeMap<String, Vec<String>>;

/// What is said between two neighbours and to nobody else.
const BETWEEN_NEIGHBOURS: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names that mean something to somebody.
const KNOWN: [&str; 16] = [
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Date",
    "ETag",
    "Forwarded",
    "Location",
    "Origin",
    "Range",
    "Server",
    "User-Agent",
    "WWW-Authenticate",
];

pub fn collected(fields: &[Field]) -> Fields {
    let mut all = Fields::new();
    for (name, value) in fields {
        all.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
    }
    all
}

/// What goes on of these to the other side.
pub fn passed_on(fields: &[Field]) -> Fields {
    let mut all = collected(fields);
    for name in connection_options(fields) {
        if name != "host" {
            all.remove(&name);
        }
    }
    for name in BETWEEN_NEIGHBOURS {
        all.remove(name);
    }
    all
}

/// What the `Connection` fields list, in small letters.
pub fn connection_options(fields: &[Field]) -> Vec<String> {
    let lists = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    lists
        .flat_map(|(_, list)| list.split(','))
        .map(|option| option.trim_matches([' ', '\t']).to_ascii_lowercase())
        .collect()
}

/// Several fields of any kind, those in `special` among them, and a `Connection` that names some of all. Nothing that
/// says where a message ends.
pub fn any(dice: &mut Dice, special: &[&str], latin: bool) -> Vec<Field> {
    let most = dice.one_of(&[0, 3, 8, 8, 20, 80]);
    let mut fields: Vec<Field> = Vec::new();
    for _ in 0..dice.up_to(most) {
        let name = match dice.below(6) {
            0 => dice.one_of(special).to_owned(),
            1 => dice.one_of(&KNOWN).to_owned(),
            // One that is there already, in other letters.
            2 if !fields.is_empty() => fields[dice.below(fields.len())].0.to_ascii_lowercase(),
            3 => {
                dice.one_of(&["Keep-Alive", "Proxy-Connection", "TE", "Trailer", "HTTP2-Settings"]).to_owned()
            }
            _ => dice.token(),
        };
        let name = dice.spelling(&name);
        let value = dice.value(latin);
        if !is_left_alone(&name) {
            fields.push((name, value));
        }
    }
    for _ in 0..dice.one_of(&[0, 0, 1, 1, 2]) {
        let list = list(dice, &fields);
        let at = dice.up_to(fields.len());
        fields.insert(at, ("Connection".to_owned(), list));
    }
    fields
}

/// Whether chance, which knows no limits, made up a name that is to be made up elsewhere.
fn is_left_alone(name: &str) -> bool {
    ["connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"]
        .iter()
        .any(|special| name.eq_ignore_ascii_case(special))
}

fn list(dice: &mut Dice, fields: &[Field]) -> String {
    let mut options = Vec::new();
    for _ in 0..dice.up_to(3) {
        let option = match dice.below(6) {
            0 => "keep-alive".to_owned(),
            1 => dice.one_of(&["Host", "Content-Length", "Transfer-Encoding", "TE", "", "Via"]).to_owned(),
            2 => dice.one_of(&["X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "Expect"]).to_owned(),
            3 | 4 if !fields.is_empty() => fields[dice.below(fields.len())].0.clone(),
            _ => dice.token(),
        };
        // Names that hold these words are options to some parsers, and have their own cases.
        let lower = option.to_ascii_lowercase();
        if !lower.contains("close") && !lower.contains("upgrade") {
            options.push(dice.spelling(&option));
        }
    }
    if dice.once_in(10) {
        options.push(dice.spelling("close"));
    }
    options.join(dice.one_of(&[",", ", ", " ,\t"]))
}
