//! Scopes of this host that others connect to: what each of them gets done, and how much of it nobody waits for any more.
//! A scope whose requests stay without an answer finds its back end here, if that runs on the same host.
//!
//! In: what the judge of each scope saw in a reading. Out: the server whose connections are those of a client. Holds the
//! busiest few, and nothing about a back end on another host.

/// How many are remembered; with more of them the busiest.
const SERVERS: usize = 16;
/// A client's connections are a server's when they differ by this many standard deviations of their number at the most.
const SAME: f64 = 1.0;

/// What a scope does for those that connect to it, over some tenths of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Server {
    /// Connections accepted per second.
    pub(super) accepts_per_s: f64,
    /// Answers per second that were met with a reset: whoever had asked was gone.
    pub(super) late_per_s: f64,
}

/// The servers of one reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Servers {
    busiest: [Server; SERVERS],
    len: usize,
}

impl Servers {
    /// Takes note of one.
    pub(super) fn offer(&mut self, server: Server) {
        if server.accepts_per_s <= 0.0 {
            return;
        }
        if self.len < SERVERS {
            self.busiest[self.len] = server;
            self.len += 1;
            return;
        }
        let idle = self
            .busiest
            .iter_mut()
            .min_by(|a, b| a.accepts_per_s.total_cmp(&b.accepts_per_s));
        if let Some(idle) = idle.filter(|idle| idle.accepts_per_s < server.accepts_per_s) {
            *idle = server;
        }
    }

    /// The server that accepts what a scope connects, `connects_per_s` over `seconds`: the nearest in number, if it is near
    /// enough to be the same connections.
    #[must_use]
    pub(super) fn of(&self, connects_per_s: f64, seconds: f64) -> Option<Server> {
        let chance = SAME * (connects_per_s * seconds).max(1.0).sqrt() / seconds;
        let distance = |server: &Server| (server.accepts_per_s - connects_per_s).abs();
        self.busiest[..self.len]
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .filter(|nearest| distance(nearest) <= chance)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(accepts_per_s: f64) -> Server {
        Server {
            accepts_per_s,
            late_per_s: accepts_per_s / 2.0,
        }
    }

    #[test]
    fn a_server_is_known_by_the_number_of_its_connections() {
        let mut servers = Servers::default();
        for accepts_per_s in [0.0, 90.0, 400.0, 430.0] {
            servers.offer(server(accepts_per_s));
        }
        assert_eq!(servers.of(402.0, 0.6), Some(server(400.0)));
        assert_eq!(servers.of(300.0, 0.6), None, "nobody accepts so many");
        assert_eq!(servers.of(0.0, 0.6), None, "an idle scope has no server");
    }

    #[test]
    fn of_too_many_the_busiest_are_remembered() {
        let mut servers = Servers::default();
        for accepts in 1..=100_u32 {
            servers.offer(server(f64::from(accepts) * 1000.0));
        }
        assert_eq!(servers.of(100_000.0, 0.6), Some(server(100_000.0)));
        assert_eq!(servers.of(85_000.0, 0.6), Some(server(85_000.0)));
        assert_eq!(servers.of(80_000.0, 0.6), None);
    }
}
