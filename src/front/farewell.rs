//! The end of the front for those who are connected.
//!
//! Nobody new comes in by now, and every answer says that its connection ends. A client that is about to send its next
//! request must still be able to: it cannot know, and a connection that ends at that moment leaves it in doubt. So all
//! are served until they have been told, or have kept silent for a while.

use std::time::{Duration, Instant};

use super::connection;
use super::turns::Turns;

/// How long there must have been no request before silent connections are ended: also what tiny_http has read but not
/// handed out yet is a request by then.
const QUIET: Duration = Duration::from_millis(100);

/// Pause between two looks at who is still connected.
const LOOK: Duration = Duration::from_millis(10);

/// How long a connection on which something waits to be read may take to get a thread, after others have made room. One
/// that tiny_http never reads from gets no longer than this.
const ROOM: Duration = Duration::from_secs(1);

/// Serves the connections to `local_port` until each has been told that it ends, or has been silent for `grace` and is
/// ended, at most until `deadline`; returns how many requests are under way then.
pub(super) fn serve_to_the_end(turns: &Turns, local_port: u16, grace: Duration, deadline: Instant) -> usize {
    // None has been told before now, so who keeps silent from here on has done so for all of the grace.
    let patience = Instant::now() + grace;
    let mut first_ended: Option<Instant> = None;
    loop {
        let busy = turns.wait_until_quiet(LOOK, deadline);
        let now = Instant::now();
        let is_late = now >= deadline || first_ended.is_some_and(|ended| now - ended >= ROOM);
        if busy > 0 || is_late || connection::count_open(local_port) == 0 {
            return busy;
        }
        if now >= patience {
            turns.wait_until_quiet(QUIET, deadline);
            let mut silent = connection::silent(local_port);
            // Only now: what nobody had read a moment ago may be a request since.
            turns.busy().iter().for_each(|busy| _ = silent.remove(busy));
            // Who waits behind them for a thread of tiny_http's gets one then.
            connection::sever_all(&silent, local_port);
            first_ended.get_or_insert(now);
        }
    }
}
