//! Packets, bytes and turns per socket, rolled up per cgroup. Attached at the cgroup root; always lets packets pass.
//!
//! `ingress` runs in the network's own interrupt context and cannot interrupt itself on one CPU; `egress` runs in
//! process context too, where an interrupt may send in between, so it adds atomically.

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::{bpf_sk_fullsock, bpf_skb_cgroup_id, generated::bpf_sk_storage_get},
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use sentinel_common::{
    id::SLOT_OTHER,
    loss,
    net::{
        DIRECTION_IN, DIRECTION_OUT, NO_CONNECTION_COUNTED, NetCounters, PATH_EXTERNAL, PATH_LOOPBACK, ROLE_ACCEPTED,
        ROLE_OPENED, ROLE_UNKNOWN, SocketState, UNCOUNTED,
    },
};

use super::{
    destination,
    packet::{self, Packet, TCP, UDP},
};
use crate::{
    count::{add, add_atomic, banked, cpu, lost},
    maps::{NET, SOCKETS},
    slots,
};

/// `lo` has this index in every network namespace.
const LOOPBACK_IFINDEX: u32 = 1;
const LET_PASS: i32 = 1;
const CREATE: u64 = 1;

/// A packet reaches a socket. Effect: none.
#[cgroup_skb(ingress)]
pub fn ingress(ctx: SkBuffContext) -> i32 {
    count::<true>(ctx.skb.skb);
    LET_PASS
}

/// A packet leaves a socket. Effect: none.
#[cgroup_skb(egress)]
pub fn egress(ctx: SkBuffContext) -> i32 {
    count::<false>(ctx.skb.skb);
    LET_PASS
}

#[inline(always)]
fn count<const IN: bool>(skb: *mut __sk_buff) {
    // SAFETY: `skb` is this program's context; the verifier checks each field.
    let (length, segments, ifindex) = unsafe { (u64::from((*skb).len), u64::from((*skb).gso_segs), (*skb).ifindex) };
    let segments = if segments == 0 { 1 } else { segments };
    let packet = packet::parse(skb);
    if packet.protocol == 0 {
        lost(loss::UNPARSED_PACKET);
    }
    let (socket, slot) = socket(skb);
    let Some(counters) = counters(slot) else { return };

    let path = if ifindex == LOOPBACK_IFINDEX {
        PATH_LOOPBACK
    } else {
        PATH_EXTERNAL
    };
    let traffic = &mut counters.traffic[path];
    if IN {
        add(&mut traffic.ingress_packets, segments);
        add(&mut traffic.ingress_bytes, length);
    } else {
        add_atomic(&mut traffic.egress_packets, segments);
        add_atomic(&mut traffic.egress_bytes, length);
    }
    if packet.protocol == UDP {
        let udp = if IN {
            &mut counters.udp_ingress_packets
        } else {
            &mut counters.udp_egress_packets
        };
        add_atomic(udp, segments);
    }
    if packet.reset {
        let resets = if IN {
            &mut counters.resets_in
        } else {
            &mut counters.resets_out
        };
        add_atomic(resets, 1);
    }
    if let Some((socket, full)) = socket {
        count_socket::<IN>(socket, full, counters, &packet, segments as u32, length);
    }
}

/// State of the packet's socket, where there is one, and the slot to count for.
#[inline(always)]
fn socket(skb: *mut __sk_buff) -> (Option<(&'static mut SocketState, *mut bpf_sock)>, u32) {
    // SAFETY: `skb` is this program's context; the helpers and the verifier check the pointers.
    unsafe {
        let sk = (*skb).__bindgen_anon_2.sk;
        let full = if sk.is_null() { sk } else { bpf_sk_fullsock(sk) };
        if full.is_null() {
            lost(loss::NO_SOCKET);
            return (None, slots::of(bpf_skb_cgroup_id(skb)));
        }
        let Some(state) = state(full) else {
            return (None, slots::of(bpf_skb_cgroup_id(skb)));
        };
        if state.cgroup_id == 0 || (state.slot != SLOT_OTHER && !slots::owned_by(state.slot, state.cgroup_id)) {
            state.cgroup_id = bpf_skb_cgroup_id(skb);
            state.slot = slots::of(state.cgroup_id);
        }
        let slot = state.slot;
        (Some((state, full)), slot)
    }
}

/// Storage of a socket, made when there is none yet.
///
/// # Safety
/// `sk` must be a full socket that the verifier knows as one.
#[inline(always)]
pub(super) unsafe fn state(sk: *mut bpf_sock) -> Option<&'static mut SocketState> {
    let map = core::ptr::from_ref(&SOCKETS).cast_mut().cast();
    // SAFETY: the caller's promise. The storage lives as long as the socket, and so longer than this run.
    unsafe {
        bpf_sk_storage_get(map, sk.cast(), core::ptr::null_mut(), CREATE)
            .cast::<SocketState>()
            .as_mut()
    }
    .or_else(|| {
        lost(loss::NO_SOCKET_STORAGE);
        None
    })
}

/// Counters of a slot in this CPU's bank.
#[inline(always)]
pub(super) fn counters(slot: u32) -> Option<&'static mut NetCounters> {
    let counters = NET.get_ptr_mut(banked(cpu(), slot))?;
    // SAFETY: the pointer comes from the map, which outlives the program; only this CPU writes this bank.
    Some(unsafe { &mut *counters })
}

/// What is counted with the socket: packets cross it on several CPUs at once, so its own counts may miss a few, while
/// those per cgroup do not.
#[inline(always)]
fn count_socket<const IN: bool>(
    socket: &mut SocketState,
    full: *mut bpf_sock,
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
        count_connection(socket, full, counters);
    }
    if !packet.data {
        return;
    }
    if socket.role == ROLE_UNKNOWN {
        socket.role = infer_role::<IN>(full, packet.protocol);
        socket.flags |= NO_CONNECTION_COUNTED;
    }
    if socket.turn(if IN { DIRECTION_IN } else { DIRECTION_OUT }) {
        count_turn::<IN>(socket, counters);
    }
}

/// Counts the attempt or the accept that the socket began with.
#[inline(always)]
fn count_connection(socket: &mut SocketState, full: *mut bpf_sock, counters: &mut NetCounters) {
    socket.flags &= !UNCOUNTED;
    if socket.role == ROLE_ACCEPTED {
        add_atomic(&mut counters.accepts, 1);
        return;
    }
    add_atomic(&mut counters.connect_attempts, 1);
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

/// Role of a socket that neither connected nor was accepted under our eyes: a UDP socket by who spoke first, an older
/// TCP connection by its ports (the service's port is the smaller one).
#[inline(always)]
fn infer_role<const IN: bool>(full: *mut bpf_sock, protocol: u8) -> u8 {
    if protocol != TCP {
        return if IN { ROLE_ACCEPTED } else { ROLE_OPENED };
    }
    lost(loss::ROLE_INFERRED);
    // SAFETY: `full` is a full socket; the verifier checks both fields. The remote port is in network order.
    let (local, remote) = unsafe { ((*full).src_port, u32::from(u16::from_be((*full).dst_port))) };
    if local < remote { ROLE_ACCEPTED } else { ROLE_OPENED }
}

#[inline(always)]
fn count_turn<const IN: bool>(socket: &mut SocketState, counters: &mut NetCounters) {
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
    add_atomic(counter, 1);
    // The first request on a connection is the work that the connection itself is counted for.
    if first && opened != IN {
        let counter = if opened {
            &mut counters.opened_first_turns
        } else {
            &mut counters.accepted_first_turns
        };
        add_atomic(counter, 1);
    }
}
