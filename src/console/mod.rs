//! The balancer as its operator sees it from a terminal: what it says of itself, once or again each second.
//!
//! It knows a balancer by its answers alone, as any client does, and believes them no further than it has to: an
//! answer that lacks something is shown with a `-` there, one that is too long or takes too long is an error, and no
//! byte of it reaches the terminal as anything but text. Nothing here changes the balancer.

mod answer;
mod events;
mod fetch;
mod screen;
mod table;
mod text;
mod top;
mod view;

pub use fetch::Remote;
pub use screen::Window;
pub use top::top;

/// The status of a balancer, once: its table or, `as_json`, all that it says.
///
/// # Errors
/// One line that names the address and why there is no status from it.
pub fn status(remote: &Remote, as_json: bool) -> Result<String, String> {
    match as_json {
        true => {
            let message = remote.status_as_sent()?;
            let json = serde_json::to_string_pretty(&message)
                .unwrap_or_else(|error| unreachable!("it was JSON, yet: {error}"));
            Ok(text::json(&json) + "\n")
        }
        false => {
            let status = remote.status()?;
            let mut lines = view::header(remote.address(), &status, None);
            lines.push(String::new());
            lines.extend(view::replicas(&status, view::Rates::Never, None));
            Ok(lines.join("\n") + "\n")
        }
    }
}
