//! A model of an overload, request by request: an open-loop client, a gateway that retries what is not answered in
//! time, and a back end of known capacity that answers in order and does all it took on, also what nobody waits for any
//! more. That last is what makes an overload sustain itself. It yields what the gateway's cgroup would count.

use std::collections::VecDeque;

use sentinel::sense::sample::Net;

use crate::synthetic::Noise;

/// How the shop is built.
#[derive(Clone, Copy, Debug)]
pub struct Shop {
    /// Requests that clients send, per second.
    pub load_per_s: f64,
    /// Requests that the back end answers, per second; nothing at 0.
    pub capacity_per_s: f64,
    /// Requests that wait at the back end at the most; what is beyond is refused.
    pub queue: usize,
    /// The back end refuses everything.
    pub is_dead: bool,
    /// Time an answer takes besides waiting, milliseconds.
    pub latency_ms: u64,
    /// Time the gateway waits for an answer, milliseconds.
    pub timeout_ms: u64,
    /// Attempts it makes for one request, the first included.
    pub attempts: u32,
    /// Back ends it asks for each request.
    pub fan_out: u32,
    /// Share of attempts that is refused although the back end is well.
    pub flaky: f64,
    /// Share of requests all of whose attempts are refused although the back end is well.
    pub poisoned: f64,
}

impl Default for Shop {
    fn default() -> Self {
        Self {
            load_per_s: 300.0,
            capacity_per_s: 1000.0,
            queue: usize::MAX,
            is_dead: false,
            latency_ms: 5,
            timeout_ms: 200,
            attempts: 4,
            fan_out: 1,
            flaky: 0.0,
            poisoned: 0.0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    begun_ms: u64,
    number: u32,
    poisoned: bool,
}

/// A running shop.
#[derive(Clone, Debug)]
pub struct Overload {
    /// May be changed at any time.
    pub shop: Shop,
    noise: Noise,
    now_ms: u64,
    served: f64,
    arrived: f64,
    /// By id, from `first` on: an attempt until its timeout, and whether it was answered.
    waiting: VecDeque<(Attempt, bool)>,
    first: u64,
    queue: VecDeque<u64>,
    /// Work that the back end has done and not yet sent, by time.
    done: VecDeque<(u64, u64)>,
    net: Net,
}

impl Overload {
    /// An empty one.
    #[must_use]
    pub fn new(shop: Shop, seed: u64) -> Self {
        Self {
            shop,
            noise: Noise::new(seed),
            now_ms: 0,
            served: 0.0,
            arrived: 0.0,
            waiting: VecDeque::new(),
            first: 0,
            queue: VecDeque::new(),
            done: VecDeque::new(),
            net: Net::default(),
        }
    }

    /// Requests that wait at the back end.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.queue.len()
    }

    /// Lets time pass and returns what the gateway counted in it.
    pub fn step(&mut self, milliseconds: u64) -> Net {
        for _ in 0..milliseconds {
            self.now_ms += 1;
            self.arrive();
            self.serve();
            self.answer();
            self.expire();
        }
        self.net.external.egress_packets = 4 * (self.net.accepts + self.net.connect_attempts);
        self.net.external.ingress_packets =
            4 * self.net.accepts + self.net.connect_failures + 3 * self.net.opened_turns_in;
        std::mem::take(&mut self.net)
    }

    fn arrive(&mut self) {
        // Exponential gaps between arrivals, so that they are Poisson.
        self.arrived += self.shop.load_per_s / 1e3;
        while self.arrived > 0.0 {
            self.arrived += self.noise.uniform().ln();
            self.net.accepts += 1;
            self.net.accepted_turns_in += 1;
            self.net.accepted_first_turns += 1;
            let poisoned = self.noise.uniform() < self.shop.poisoned;
            for _ in 0..self.shop.fan_out {
                self.attempt(1, poisoned);
            }
        }
    }

    fn attempt(&mut self, number: u32, poisoned: bool) {
        let refused = self.shop.is_dead
            || poisoned
            || self.queue.len() >= self.shop.queue
            || self.noise.uniform() < self.shop.flaky;
        self.net.connect_attempts += 1;
        if refused {
            self.net.connect_failures += 1;
            self.net.resets_in += 1;
            if number < self.shop.attempts {
                self.attempt(number + 1, poisoned);
            }
            return;
        }
        self.net.connects += 1;
        self.net.opened_turns_out += 1;
        self.net.opened_first_turns += 1;
        let attempt = Attempt {
            begun_ms: self.now_ms,
            number,
            poisoned,
        };
        self.queue.push_back(self.first + self.waiting.len() as u64);
        self.waiting.push_back((attempt, false));
    }

    fn serve(&mut self) {
        if self.shop.is_dead {
            self.queue.clear();
            return;
        }
        self.served += self.shop.capacity_per_s / 1e3 * (0.5 + self.noise.uniform());
        while self.served >= 1.0 {
            let Some(id) = self.queue.pop_front() else {
                self.served = 0.0;
                return;
            };
            self.served -= 1.0;
            self.done.push_back((self.now_ms + self.shop.latency_ms, id));
        }
    }

    /// An answer counts for the gateway only while it waits for it: it has closed the connection else.
    fn answer(&mut self) {
        while let Some((_, id)) = self.done.pop_front_if(|(at_ms, _)| *at_ms <= self.now_ms) {
            let waiting = id
                .checked_sub(self.first)
                .and_then(|index| self.waiting.get_mut(index as usize));
            if let Some((_, answered)) = waiting {
                *answered = true;
                self.net.opened_turns_in += 1;
            }
        }
    }

    fn expire(&mut self) {
        while let Some((attempt, answered)) = self.waiting.front().copied() {
            if attempt.begun_ms + self.shop.timeout_ms > self.now_ms {
                return;
            }
            self.waiting.pop_front();
            self.first += 1;
            if !answered && attempt.number < self.shop.attempts {
                self.attempt(attempt.number + 1, attempt.poisoned);
            }
        }
    }
}
