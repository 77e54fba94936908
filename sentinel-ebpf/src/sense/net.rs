//! Packets, bytes and turns per socket, rolled up per cgroup. Attached at the cgroup root; always lets packets pass.
//!
//! `ingress` runs in the network's own interrupt context and cannot interrupt itself on one CPU, so it adds plainly.
//! `egress` runs in process context too, where an interrupt, or a task that takes the CPU, may send in between. The
//! first to come adds plainly and says so in the state of the CPU; who comes in between adds atomically in a bank that
//! all CPUs share. So no count is lost, and packets pay for no locked instruction.

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::{bpf_sk_fullsock, bpf_skb_cgroup_id, generated::bpf_sk_storage_get},
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use sentinel_common::{
    cost::OF_NET,
    id::SLOT_OTHER,
    loss,
    net::{
        DIRECTION_IN, DIRECTION_OUT, NO_CONNECTION_COUNTED, NetCounters, PATH_EXTERNAL, PATH_LOOPBACK, ROLE_ACCEPTED,
        ROLE_OPENED, ROLE_UNKNOWN, SocketState, UNCOUNTED,
    },
    sched::CpuState,
};

use super::{
    destination,
    packet::{self, Packet, TCP, UDP},
};
use crate::{
    cost::{self, Program},
    count::{add, add_atomic, cpu_state, enter, leave, lost},
    maps::{NET, SOCKETS},
    offsets::SHARED_BANK,
    slots,
};

/// `lo` has this index in every network namespace.
const LOOPBACK_IFINDEX: u32 = 1;
const LET_PASS: i32 = 1;
const CREATE: u64 = 1;

/// A packet reaches a socket. Effect: none.
#[cgroup_skb(ingress)]
pub fn ingress(ctx: SkBuffContext) -> i32 {
    cost::run::<Passing<true>>(ctx.skb.skb);
    LET_PASS
}

/// A packet leaves a socket. Effect: none.
#[cgroup_skb(egress)]
pub fn egress(ctx: SkBuffContext) -> i32 {
    cost::run::<Passing<false>>(ctx.skb.skb);
    LET_PASS
}

struct Passing<const IN: bool>;

impl<const IN: bool> Program for Passing<IN> {
    const SENSOR: usize = OF_NET;
    type Context = __sk_buff;

    #[inline(always)]
    fn work(skb: *mut __sk_buff, state: &mut CpuState) {
        // SAFETY: `skb` is this program's context; the verifier checks each field.
        let (length, segments, ifindex) =
            unsafe { (u64::from((*skb).len), u64::from((*skb).gso_segs), (*skb).ifindex) };
        let segments = if segments == 0 { 1 } else { segments };
        let packet = packet::parse(skb);
        if packet.protocol == 0 {
            lost(loss::UNPARSED_PACKET);
        }
        let (socket, slot) = socket(skb);
        let adding = if IN { Adding::Alone } else { Adding::begin(state) };
        if let Some(counters) = adding.counters(state, slot) {
            count_packet::<IN>(adding, counters, (length, segments, ifindex), &packet);
            if let Some(socket) = socket {
                count_socket::<IN>(adding, socket, skb, counters, &packet, segments as u32, length);
            }
        }
        if !IN {
            adding.end(state);
        }
    }
}

/// Who may add to the counters of this CPU now.
#[derive(Clone, Copy)]
enum Adding {
    /// Nobody else, until this is over.
    Alone,
    /// Somebody else is at it: add atomically, in the shared bank.
    Beside,
}

impl Adding {
    #[inline(always)]
    fn begin(state: &mut CpuState) -> Self {
        if enter(&mut state.sending) {
            Self::Alone
        } else {
            Self::Beside
        }
    }

    #[inline(always)]
    fn end(self, state: &mut CpuState) {
        if matches!(self, Self::Alone) {
            leave(&mut state.sending);
        }
    }

    #[inline(always)]
    fn counters(self, state: &CpuState, slot: u32) -> Option<&'static mut NetCounters> {
        let bank = match self {
            Self::Alone => state.bank,
            Self::Beside => SHARED_BANK.load(),
        };
        let counters = NET.get_ptr_mut(bank + slot)?;
        // SAFETY: the pointer comes from the map, which outlives the program; see the head of this file for who writes.
        Some(unsafe { &mut *counters })
    }

    /// Adds to a counter that only packets of one direction move.
    #[inline(always)]
    fn add(self, counter: &mut u64, n: u64) {
        match self {
            Self::Alone => add(counter, n),
            Self::Beside => add_atomic(counter, n),
        }
    }
}

#[inline(always)]
fn count_packet<const IN: bool>(
    adding: Adding,
    counters: &mut NetCounters,
    (length, segments, ifindex): (u64, u64, u32),
    packet: &Packet,
) {
    let path = if ifindex == LOOPBACK_IFINDEX {
        PATH_LOOPBACK
    } else {
        PATH_EXTERNAL
    };
    let traffic = &mut counters.traffic[path];
    let (packets, bytes, udp, resets) = if IN {
        (
            &mut traffic.ingress_packets,
            &mut traffic.ingress_bytes,
            &mut counters.udp_ingress_packets,
            &mut counters.resets_in,
        )
    } else {
        (
            &mut traffic.egress_packets,
            &mut traffic.egress_bytes,
            &mut counters.udp_egress_packets,
            &mut counters.resets_out,
        )
    };
    adding.add(packets, segments);
    adding.add(bytes, length);
    if packet.protocol == UDP {
        adding.add(udp, segments);
    }
    if packet.reset {
        adding.add(resets, 1);
    }
}

/// State of the packet's socket, where there is one, and the slot to count for.
#[inline(always)]
fn socket(skb: *mut __sk_buff) -> (Option<&'static mut SocketState>, u32) {
    // SAFETY: `skb` is this program's context; the helpers and the verifier check the pointers.
    unsafe {
        let sk = (*skb).__bindgen_anon_2.sk;
        let state = if sk.is_null() { None } else { storage(sk) };
        let Some(state) = state else {
            let full = !sk.is_null() && !bpf_sk_fullsock(sk).is_null();
            lost(if full { loss::NO_SOCKET_STORAGE } else { loss::NO_SOCKET });
            return (None, slots::of(bpf_skb_cgroup_id(skb)));
        };
        if state.cgroup_id == 0 || (state.slot != SLOT_OTHER && !slots::owned_by(state.slot, state.cgroup_id)) {
            state.cgroup_id = bpf_skb_cgroup_id(skb);
            state.slot = slots::of(state.cgroup_id);
        }
        let slot = state.slot;
        (Some(state), slot)
    }
}

/// Storage of a socket, made when there is none yet. The helper finds none for what is not a full socket.
///
/// # Safety
/// `sk` must be a socket that the verifier knows as one.
#[inline(always)]
pub(super) unsafe fn storage(sk: *mut bpf_sock) -> Option<&'static mut SocketState> {
    let map = core::ptr::from_ref(&SOCKETS).cast_mut().cast();
    // SAFETY: the caller's promise. The storage lives as long as the socket, and so longer than this run.
    unsafe {
        bpf_sk_storage_get(map, sk.cast(), core::ptr::null_mut(), CREATE)
            .cast::<SocketState>()
            .as_mut()
    }
}

/// Counters of a slot in this CPU's bank, for fields that are only added to atomically.
#[inline(always)]
pub(super) fn counters(slot: u32) -> Option<&'static mut NetCounters> {
    Adding::Alone.counters(cpu_state()?, slot)
}

/// What is counted with the socket: packets cross it on several CPUs at once, so its own counts may miss a few, while
/// those per cgroup do not.
#[inline(always)]
fn count_socket<const IN: bool>(
    adding: Adding,
    socket: &mut SocketState,
    skb: *mut __sk_buff,
    counters: &mut NetCounters,
    packet: &Packet,
    segments: u32,
    length: u64,
) {
    if IN {
        socket.ingress_packets = socket.ingress_packets.wrapping_add(segments);
        add(&mut socket.ingress_bytes, length);
    } else {
        socket.egress_packets = socket.egress_packets.wrapping_add(segments);
        add(&mut socket.egress_bytes, length);
    }
    if socket.flags & UNCOUNTED != 0 {
        count_connection(socket, skb, counters);
    }
    if !packet.data {
        return;
    }
    if socket.role == ROLE_UNKNOWN {
        socket.role = infer_role::<IN>(skb, packet.protocol);
        socket.flags |= NO_CONNECTION_COUNTED;
    }
    if socket.turn(if IN { DIRECTION_IN } else { DIRECTION_OUT }) {
        count_turn::<IN>(adding, socket, counters);
    }
}

/// Counts the attempt or the accept that the socket began with.
#[cold]
#[inline(never)]
fn count_connection(socket: &mut SocketState, skb: *mut __sk_buff, counters: &mut NetCounters) {
    socket.flags &= !UNCOUNTED;
    if socket.role == ROLE_ACCEPTED {
        add_atomic(&mut counters.accepts, 1);
        return;
    }
    add_atomic(&mut counters.connect_attempts, 1);
    let Some(full) = full_socket(skb) else { return };
    // SAFETY: `full` is a full socket; the verifier checks each field. Each word is read by itself at its fixed place,
    // which `volatile` keeps the compiler from changing. The port is in network order.
    let (family, words, port) = unsafe {
        let family = (*full).family;
        let words = if family == destination::AF_INET {
            [read_volatile(&raw const (*full).dst_ip4), 0, 0, 0]
        } else {
            [
                read_volatile(&raw const (*full).dst_ip6[0]),
                read_volatile(&raw const (*full).dst_ip6[1]),
                read_volatile(&raw const (*full).dst_ip6[2]),
                read_volatile(&raw const (*full).dst_ip6[3]),
            ]
        };
        (family, words, u16::from_be((*full).dst_port))
    };
    destination::attempted(&destination::of(socket.slot, family, words, port));
}

/// The packet's socket, for its addresses; a socket with a state is always a full one.
#[inline(always)]
fn full_socket(skb: *mut __sk_buff) -> Option<*mut bpf_sock> {
    // SAFETY: `skb` is this program's context; the helper and the verifier check the pointers.
    unsafe {
        let sk = (*skb).__bindgen_anon_2.sk;
        if sk.is_null() {
            return None;
        }
        let full = bpf_sk_fullsock(sk);
        (!full.is_null()).then_some(full)
    }
}

/// Role of a socket that neither connected nor was accepted under our eyes: a UDP socket by who spoke first, an older
/// TCP connection by its ports (the service's port is the smaller one).
#[cold]
#[inline(never)]
fn infer_role<const IN: bool>(skb: *mut __sk_buff, protocol: u8) -> u8 {
    if protocol != TCP {
        return if IN { ROLE_ACCEPTED } else { ROLE_OPENED };
    }
    lost(loss::ROLE_INFERRED);
    let Some(full) = full_socket(skb) else {
        return ROLE_UNKNOWN;
    };
    // SAFETY: `full` is a full socket; the verifier checks both fields. The remote port is in network order.
    let (local, remote) = unsafe { ((*full).src_port, u32::from(u16::from_be((*full).dst_port))) };
    if local < remote { ROLE_ACCEPTED } else { ROLE_OPENED }
}

#[inline(always)]
fn count_turn<const IN: bool>(adding: Adding, socket: &mut SocketState, counters: &mut NetCounters) {
    let turns = if IN {
        &mut socket.turns_in
    } else {
        &mut socket.turns_out
    };
    let first = *turns == 0 && socket.flags & NO_CONNECTION_COUNTED == 0;
    *turns = turns.wrapping_add(1);
    let opened = socket.role == ROLE_OPENED;
    let counter = match (opened, IN) {
        (true, false) => &mut counters.opened_turns_out,
        (true, true) => &mut counters.opened_turns_in,
        (false, true) => &mut counters.accepted_turns_in,
        (false, false) => &mut counters.accepted_turns_out,
    };
    adding.add(counter, 1);
    // The first request on a connection is the work that the connection itself is counted for.
    if first && opened != IN {
        let counter = if opened {
            &mut counters.opened_first_turns
        } else {
            &mut counters.accepted_first_turns
        };
        adding.add(counter, 1);
    }
}
