//! Network of the model: what a cgroup is asked, what it asks of others, and packets beside that. Counts follow the
//! rules of `sentinel_common::net`: a turn is the first data after the direction changed, an attempt is work.

use sentinel::sense::sample::Net;

use super::{
    noise::{Noise, Wander},
    upstream::Upstream,
};

/// What one cgroup does on the network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Requests received per second.
    pub asked_per_s: f64,
    /// How they wander.
    pub wander: Wander,
    /// Requests per connection it accepts.
    pub per_connection: f64,
    /// Packets in and out per request it answers, the handshake included.
    pub packets_in: f64,
    /// As above.
    pub packets_out: f64,
    /// Requests it sends for each one it receives.
    pub fan_out: f64,
    /// Requests it sends on its own account, per second.
    pub own_per_s: f64,
    /// Where it sends them.
    pub upstream: Option<Box<Upstream>>,
    /// Packets sent and received beside all that, per second.
    pub stream_out_per_s: f64,
    /// As above.
    pub stream_in_per_s: f64,
    /// Bytes in one of these.
    pub stream_bytes: f64,
    /// They are UDP.
    pub udp: bool,
    /// How the stream wanders.
    pub stream_wander: Wander,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            asked_per_s: 0.0,
            wander: Wander::new(0.25, 15.0),
            per_connection: 1.0,
            packets_in: 5.0,
            packets_out: 4.0,
            fan_out: 0.0,
            own_per_s: 0.0,
            upstream: None,
            stream_out_per_s: 0.0,
            stream_in_per_s: 0.0,
            stream_bytes: 1200.0,
            udp: false,
            stream_wander: Wander::new(0.15, 10.0),
        }
    }
}

impl Network {
    /// Lets `dt` seconds pass and counts. `common` is what all cgroups do at once.
    pub(super) fn read(&mut self, dt: f64, common: f64, noise: &mut Noise) -> Net {
        let mut net = Net::default();
        let mut asked = 0.0;
        if self.asked_per_s > 0.0 {
            let factor = common * self.wander.step(dt, noise);
            asked = noise.poisson(self.asked_per_s * dt * factor);
            self.answer(&mut net, asked, noise);
        }
        if let Some(upstream) = &mut self.upstream {
            let own = if self.own_per_s > 0.0 {
                noise.poisson(self.own_per_s * dt)
            } else {
                0.0
            };
            let fresh = own + noise.round(asked * self.fan_out) as f64;
            upstream.step(dt, fresh, &mut net, noise);
        }
        self.stream(&mut net, dt, noise);
        net
    }

    fn answer(&self, net: &mut Net, asked: f64, noise: &mut Noise) {
        let connections = if self.per_connection <= 1.0 {
            asked as u64
        } else {
            noise.round(asked / self.per_connection)
        };
        net.accepts = connections;
        net.accepted_first_turns = connections.min(asked as u64);
        net.accepted_turns_in = asked as u64;
        net.accepted_turns_out = asked as u64;
        let (packets_in, packets_out) = (
            noise.round(asked * self.packets_in),
            noise.round(asked * self.packets_out),
        );
        net.external.ingress_packets += packets_in;
        net.external.egress_packets += packets_out;
        net.external.ingress_bytes += packets_in * 180;
        net.external.egress_bytes += packets_out * 900;
        net.retransmits += noise.binomial(packets_out, 0.000_2);
    }

    fn stream(&mut self, net: &mut Net, dt: f64, noise: &mut Noise) {
        if self.stream_out_per_s <= 0.0 && self.stream_in_per_s <= 0.0 {
            return;
        }
        let factor = self.stream_wander.step(dt, noise);
        let out = noise.round(self.stream_out_per_s * dt * factor);
        let inward = noise.round(self.stream_in_per_s * dt * factor);
        net.external.egress_packets += out;
        net.external.ingress_packets += inward;
        net.external.egress_bytes += (out as f64 * self.stream_bytes) as u64;
        net.external.ingress_bytes += inward * 60;
        if self.udp {
            net.udp_egress_packets += out;
            net.udp_ingress_packets += inward;
        }
    }
}
