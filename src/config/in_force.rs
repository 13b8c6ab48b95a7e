//! The settings for people: what was given, and what the balancer made of it where the choice was left to it.

use super::Settings;

impl Settings {
    /// Every setting by name as it is in force; but not the token. Behind `auto` stands what that came to.
    pub fn in_force(&self) -> Vec<(&'static str, String)> {
        self.given.iter().map(|(name, given)| (*name, self.value(name, given))).collect()
    }

    fn value(&self, name: &str, given: &str) -> String {
        match name {
            // Fewer than three by default where there is no room, as many as there are servers, or were before a restart.
            "replicas" => self.replicas.to_string(),
            // Where nothing was given, it is the environment that says.
            "log-level" => self.log.clone().unwrap_or_else(|| given.to_owned()),
            _ if given == "auto" => match self.choice(name) {
                Some(choice) => format!("auto ({choice})"),
                None => given.to_owned(),
            },
            _ => given.to_owned(),
        }
    }

    /// What a setting is that was left to the balancer.
    fn choice(&self, name: &str) -> Option<String> {
        // A scheme may have no such thing.
        let measure = |number: usize| if number == 0 { "none".to_owned() } else { number.to_string() };
        match name {
            "slots" => Some(measure(self.ring.slots())),
            "virtual-servers" => Some(measure(self.ring.virtual_servers())),
            "max-replicas" => Some(self.supervisor.max_replicas.to_string()),
            "max-connections" => Some(self.front.most_connections().to_string()),
            "replica-404" => Some(if self.front.maps_404 { "map" } else { "pass" }.to_owned()),
            _ => None,
        }
    }
}
