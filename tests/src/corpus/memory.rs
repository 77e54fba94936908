//! Memory of the model: a script says how much a cgroup should hold, the model moves pages until it does, and keeps the
//! books that the kernel keeps: pages by order, resident pages by kind, `memory.current`, and what is available.

use sentinel::sense::sample::Mem;

use super::noise::{Noise, Wander};

/// Bytes in a page of the model.
pub const PAGE_BYTES: u64 = 4096;
/// What a cgroup holds for the kernel's own sake, MB.
const KERNEL_MB: f64 = 1.5;
/// Mean life of a page that is handed out only for a moment, seconds.
const SHORT_LIFE_S: f64 = 0.05;
/// What a process holds after it was started again, MB.
const RESTARTED_MB: f64 = 8.0;

/// What one cgroup holds, and should hold.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Anonymous memory it should hold, MB.
    pub anon_mb: f64,
    /// Page cache it should hold, MB.
    pub cache_mb: f64,
    /// Shared memory it should hold, MB.
    pub shmem_mb: f64,
    /// Files read, MB/s: page cache that stays until there is no room for more.
    pub scan_mb_per_s: f64,
    /// Room for page cache where there is no `memory.max`, MB.
    pub room_mb: f64,
    /// Pages handed out for a moment and given back, MB/s.
    pub churn_mb_per_s: f64,
    /// How the churn wanders.
    pub wander: Wander,
    /// `memory.max`, MB.
    pub limit_mb: Option<f64>,
    /// Its processes were killed for lack of memory this often.
    pub kills: u64,
    held: Held,
    floating_mb: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    anon: i64,
    cache: i64,
    shmem: i64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            anon_mb: 20.0,
            cache_mb: 10.0,
            shmem_mb: 0.0,
            scan_mb_per_s: 0.0,
            room_mb: 4_000.0,
            churn_mb_per_s: 0.2,
            wander: Wander::new(0.4, 8.0),
            limit_mb: None,
            kills: 0,
            held: Held::default(),
            floating_mb: 0.0,
        }
    }
}

fn pages(mb: f64) -> i64 {
    (mb * 1e6 / PAGE_BYTES as f64) as i64
}

fn megabytes(pages: i64) -> f64 {
    pages as f64 * PAGE_BYTES as f64 / 1e6
}

impl Memory {
    /// What it should hold, it holds: for the state before the first sample.
    pub fn settle(&mut self) {
        self.held = Held {
            anon: pages(self.anon_mb),
            cache: pages(self.cache_mb),
            shmem: pages(self.shmem_mb),
        };
    }

    /// Held and not to be had back by reclaim, MB.
    #[must_use]
    pub fn firm_mb(&self) -> f64 {
        megabytes(self.held.anon + self.held.shmem) + KERNEL_MB
    }

    /// Page cache held, MB.
    #[must_use]
    pub fn cached_mb(&self) -> f64 {
        megabytes(self.held.cache)
    }

    /// `memory.current`, bytes.
    #[must_use]
    pub fn current_bytes(&self) -> u64 {
        ((self.firm_mb() + self.cached_mb() + self.floating_mb) * 1e6) as u64
    }

    /// Kills its processes: what they held is given back with the next reading.
    pub fn kill(&mut self) {
        self.kills += 1;
        self.anon_mb = RESTARTED_MB;
        self.shmem_mb = 0.0;
    }

    /// Moves pages for `dt` seconds and counts them. `stray` takes what others give back in its place.
    pub(super) fn read(&mut self, dt: f64, rss_known: bool, stray: &mut u64, noise: &mut Noise) -> Mem {
        let mut mem = Mem::default();
        let kills_before = self.kills;
        let mut scanned = pages(self.scan_mb_per_s * dt).max(0) as u64;
        self.cache_mb += self.scan_mb_per_s * dt;
        let room_mb = self
            .limit_mb
            .map_or(self.room_mb, |limit| (limit - self.firm_mb() - 1.0).max(0.0));
        let fits_mb = self.cache_mb.min(room_mb);
        scanned = scanned.min(pages(self.cache_mb - fits_mb).max(0) as u64);
        if self.scan_mb_per_s > 0.0 || self.limit_mb.is_some() {
            self.cache_mb = fits_mb;
        }
        if let Some(limit) = self.limit_mb {
            // Reclaim takes page cache first; when that is gone the OOM killer comes.
            if self.anon_mb + self.shmem_mb + KERNEL_MB >= limit {
                self.kill();
            }
        }
        let anon = pages(self.anon_mb) - self.held.anon;
        let cache = pages(self.cache_mb) - self.held.cache;
        let shmem = pages(self.shmem_mb) - self.held.shmem;
        self.held.anon += anon;
        self.held.cache += cache;
        self.held.shmem += shmem;
        for pages in [anon, cache, shmem] {
            let side = if pages >= 0 {
                &mut mem.allocated_pages
            } else {
                &mut mem.freed_pages
            };
            *side += pages.unsigned_abs();
        }
        self.churn(&mut mem, dt, stray, noise);
        // What was read and found no room: it came in the place of other page cache.
        mem.allocated_pages += scanned;
        mem.freed_pages += scanned;
        if cache < 0 || scanned > 0 {
            // A few per cent of reclaim are done by kswapd, in another cgroup.
            let elsewhere = (scanned + (-cache).max(0) as u64) / 40;
            mem.freed_pages -= elsewhere.min(mem.freed_pages);
            *stray += elsewhere;
        }
        if rss_known {
            mem.rss_anon_pages = Some(anon);
            mem.rss_file_pages = Some(cache / 25);
            mem.rss_shmem_pages = Some(shmem);
        }
        mem.oom_kills = self.kills - kills_before;
        mem
    }

    fn churn(&mut self, mem: &mut Mem, dt: f64, stray: &mut u64, noise: &mut Noise) {
        if self.churn_mb_per_s <= 0.0 {
            return;
        }
        let factor = self.wander.step(dt, noise);
        let both = pages(self.churn_mb_per_s * factor * dt).max(0) as u64;
        let floating_mb = self.churn_mb_per_s * factor * SHORT_LIFE_S * noise.between(0.5, 1.5);
        let more = pages(floating_mb) - pages(self.floating_mb);
        self.floating_mb = floating_mb;
        mem.allocated_pages += both;
        mem.freed_pages += both;
        if more >= 0 {
            mem.allocated_pages += more as u64
        } else {
            mem.freed_pages += more.unsigned_abs()
        }
        // One page in a thousand is freed in another cgroup's time, by an interrupt or a kernel thread.
        let elsewhere = noise.round(both as f64 / 1000.0).min(mem.freed_pages);
        mem.freed_pages -= elsewhere;
        *stray += elsewhere;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_agree_with_what_is_held() {
        let mut noise = Noise::new("books", 1);
        let mut memory = Memory::default();
        memory.settle();
        let (mut net, mut resident, mut stray) = (0_i64, 0_i64, 0);
        for second in 0..100 {
            memory.anon_mb = 20.0 + f64::from(second % 7) * 3.0;
            let mem = memory.read(1.0, true, &mut stray, &mut noise);
            net += mem.allocated_pages as i64 - mem.freed_pages as i64;
            resident += mem.rss_anon_pages.expect("known");
        }
        assert_eq!(resident, pages(memory.anon_mb) - pages(20.0));
        assert_eq!(net - stray as i64, resident + pages(memory.floating_mb));
    }

    #[test]
    fn at_its_limit_page_cache_goes_first_and_then_the_oom_killer_comes() {
        let mut noise = Noise::new("limit", 1);
        let mut memory = Memory {
            cache_mb: 50.0,
            limit_mb: Some(100.0),
            ..Memory::default()
        };
        memory.settle();
        let mut killed_at = None;
        for second in 0..100 {
            memory.anon_mb += 1.0;
            let mem = memory.read(1.0, true, &mut 0, &mut noise);
            assert!(memory.current_bytes() <= 101_000_000);
            if mem.oom_kills > 0 {
                killed_at.get_or_insert(second);
                assert!(mem.freed_pages > pages(80.0) as u64);
            }
        }
        assert!(
            killed_at.is_some_and(|second| (76..81).contains(&second)),
            "{killed_at:?}"
        );
    }
}
