//! Every endpoint, asked rightly and wrongly, with what it answered.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::expect::Expect;
use crate::admin::{Admin, STATUS, change};
use crate::interrupt;
use crate::load::Wrong;

/// One request and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Method and path.
    pub request: String,
    /// The body that was sent.
    pub body: String,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer.
    pub answer: String,
    /// What it had to be, in words.
    pub expected: String,
    /// What is wrong with it, if something is.
    pub wrong: Option<String>,
}

struct Recorder<'a> {
    admin: &'a Admin,
    entries: Vec<Entry>,
}

/// Asks everything. Afterwards there are other replicas than before if answers were wrong.
///
/// # Errors
/// There was no answer at all.
pub fn record(admin: &Admin) -> Result<Vec<Entry>> {
    let before = admin.names()?;
    let mut recorder = Recorder { admin, entries: Vec::new() };
    recorder.requests(&before)?;
    recorder.refused_additions(&before)?;
    recorder.refused_removals(&before)?;
    recorder.wrong_methods()?;
    recorder.ask("GET", "/rep", "", Expect::Replicas(before.clone()))?;
    recorder.changes(&before)?;
    Ok(recorder.entries)
}

/// A failure with the text that the contract fixes.
fn fixed(text: &str) -> Expect {
    Expect::Failure(400, Some(format!("<Error> {text}")))
}

impl Recorder<'_> {
    fn requests(&mut self, names: &[String]) -> Result<()> {
        self.ask("GET", "/rep", "", Expect::Replicas(names.to_vec()))?;
        self.ask("GET", STATUS, "", Expect::Status(names.to_vec()))?;
        self.ask("GET", "/home", "", Expect::Hello(names.to_vec()))?;
        self.ask("GET", "/heartbeat", "", Expect::Nothing)?;
        self.ask("GET", "/other", "", fixed("'/other' endpoint does not exist in server replicas"))
    }

    fn refused_additions(&mut self, names: &[String]) -> Result<()> {
        let longer = fixed("Length of hostname list is more than newly added instances");
        let taken = change(1, &names.iter().take(1).cloned().collect::<Vec<String>>());
        let refused = Expect::Failure(400, None);
        self.ask("POST", "/add", r#"{"n":1,"hostnames":["S1","S2"]}"#, longer)?;
        for body in [
            r#"{"n":0}"#,
            r#"{"n":-1}"#,
            r#"{"n":"one"}"#,
            r#"{"hostnames":["S1"]}"#,
            r#"{"n":2,"hostnames":["S1","S1"]}"#,
            r#"{"n":1,"hostnames":["--privileged"]}"#,
            r#"{"n":1,"names":["S1"]}"#,
            "not JSON",
            "",
            &taken,
        ] {
            self.ask("POST", "/add", body, refused.clone())?;
        }
        Ok(())
    }

    fn refused_removals(&mut self, names: &[String]) -> Result<()> {
        let longer = fixed("Length of hostname list is more than removable instances");
        let too_many = format!(r#"{{"n":{}}}"#, names.len() + 1);
        self.ask("DELETE", "/rm", r#"{"n":1,"hostnames":["S1","S2"]}"#, longer)?;
        for body in [r#"{"n":1,"hostnames":["no_such_replica"]}"#, r#"{"n":0}"#, "not JSON", &too_many] {
            self.ask("DELETE", "/rm", body, Expect::Failure(400, None))?;
        }
        Ok(())
    }

    fn wrong_methods(&mut self) -> Result<()> {
        for (method, path) in
            [("DELETE", "/rep"), ("POST", STATUS), ("GET", "/add"), ("GET", "/rm"), ("PUT", "/rm")]
        {
            self.ask(method, path, "", Expect::Failure(405, None))?;
        }
        Ok(())
    }

    fn changes(&mut self, before: &[String]) -> Result<()> {
        let named: Vec<String> = fresh_names(before);
        let with = |more: &[String]| [before, more].concat();
        let two = with(&named);
        self.ask("POST", "/add", &change(2, &named), Expect::Replicas(two.clone()))?;
        self.ask("GET", "/home", "", Expect::Hello(two.clone()))?;
        self.ask("POST", "/add", r#"{"n":1}"#, Expect::Grown(two.clone(), two.len() + 1))?;
        let made_up: Vec<String> =
            self.admin.names()?.into_iter().filter(|name| !two.contains(name)).collect();
        self.ask("DELETE", "/rm", &change(made_up.len(), &made_up), Expect::Replicas(two))?;
        self.ask("DELETE", "/rm", &change(1, &named[1..]), Expect::Replicas(with(&named[..1])))?;
        self.ask("POST", "/rm", &change(1, &named[..1]), Expect::Replicas(before.to_vec()))?;
        self.ask("GET", "/rep", "", Expect::Replicas(before.to_vec()))
    }

    fn ask(&mut self, method: &str, path: &str, body: &str, expect: Expect) -> Result<()> {
        interrupt::check()?;
        let request = format!("{method} {path}");
        let answer = self.admin.call(method, path, body).with_context(|| format!("{request} {body}"))?;
        self.entries.push(Entry {
            request,
            body: body.to_owned(),
            status: answer.status,
            answer: answer.text(),
            expected: expect.describe(),
            wrong: expect.check(&answer).err(),
        });
        Ok(())
    }
}

/// Two names that nobody has.
fn fresh_names(taken: &[String]) -> Vec<String> {
    (1..).map(|k| format!("extra_{k}")).filter(|name| !taken.contains(name)).take(2).collect()
}

/// The answers that were wrong.
pub fn wrong(entries: &[Entry]) -> Wrong {
    let mut wrong = Wrong::default();
    for entry in entries {
        if let Some(why) = &entry.wrong {
            let Entry { request, body, answer, expected, .. } = entry;
            wrong.push(format!("{request} {body}: {why}; answer {answer:?}, expected {expected}"));
        }
    }
    wrong
}

/// The transcript as a document.
pub fn markdown(entries: &[Entry]) -> String {
    let mut text = "# Every endpoint and what it answered\n".to_owned();
    for entry in entries {
        let Entry { request, body, status, answer, expected, wrong } = entry;
        let verdict = wrong.as_ref().map_or("right".to_owned(), |why| format!("**wrong**: {why}"));
        let _ = write!(text, "\n```http\n{request}\n");
        if !body.is_empty() {
            let _ = write!(text, "\n{body}\n");
        }
        let _ = write!(text, "```\n\nExpected: {expected}\n\n```http\n{status}\n");
        if !answer.is_empty() {
            let _ = write!(text, "\n{}\n", answer.replace("```", "` ` `"));
        }
        let _ = write!(text, "```\n\n{verdict}\n\n---\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_are_nobodys() {
        assert_eq!(fresh_names(&["extra_1".to_owned(), "a".to_owned()]), ["extra_2", "extra_3"]);
    }

    #[test]
    fn wrong_answers_stand_out() {
        let entry = |wrong: Option<&str>| Entry {
            request: "GET /x".to_owned(),
            body: String::new(),
            status: 200,
            answer: "y".to_owned(),
            expected: "z".to_owned(),
            wrong: wrong.map(str::to_owned),
        };
        let entries = [entry(None), entry(Some("no z"))];
        assert_eq!(wrong(&entries).count, 1);
        let text = markdown(&entries);
        assert!(text.contains("\nright\n") && text.contains("**wrong**: no z"), "{text}");
    }
}
