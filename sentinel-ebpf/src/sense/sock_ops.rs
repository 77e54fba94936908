//! Connections: who opened, who accepted, attempts, failures, retransmits. Attached at the cgroup root; asks the
//! kernel to report on the sockets it meets, beside what others asked for, and changes nothing else.

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RETRANS_CB,
        BPF_SOCK_OPS_RETRANS_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB,
        BPF_TCP_CLOSE,
    },
    macros::sock_ops,
    programs::SockOpsContext,
};
use aya_log_ebpf::debug;
use sentinel_common::{
    loss,
    net::{
        Destination, DestinationCounters, NetCounters, PENDING_ACCEPT, PENDING_ATTEMPT, ROLE_ACCEPTED, ROLE_OPENED,
        SocketState,
    },
};

use super::net::{counters, state};
use crate::{
    count::{add_atomic, cpu, lost},
    maps::{CPU_STATE, DESTINATIONS},
    slots,
};

const AF_INET: u32 = 2;
const CONTINUE: u32 = 1;

/// Something happened to a TCP socket. Effect: none but the reports asked for.
#[sock_ops]
pub fn sock_ops(ctx: SockOpsContext) -> u32 {
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => connecting(&ctx),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => connected(&ctx),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => accepted(&ctx),
        BPF_SOCK_OPS_STATE_CB if ctx.arg(1) == BPF_TCP_CLOSE => closed(&ctx),
        BPF_SOCK_OPS_RETRANS_CB => retransmitted(&ctx),
        _ => {}
    }
    CONTINUE
}

/// `connect` was called: in the context of the task that calls it, so its cgroup is the one on this CPU.
#[inline(always)]
fn connecting(ctx: &SockOpsContext) {
    let Some(socket) = socket(ctx) else { return };
    // SAFETY: the pointer comes from the map; only this CPU writes it.
    let slot = CPU_STATE.get_ptr(cpu()).map_or(0, |state| unsafe { (*state).slot });
    *socket = SocketState {
        cgroup_id: slots::owner(slot),
        slot,
        role: ROLE_OPENED,
        flags: PENDING_ATTEMPT,
        ..SocketState::default()
    };
    ask_for_reports(ctx);
    if let Some(counters) = counters(slot) {
        add_atomic(&mut counters.connect_attempts, 1);
    }
    let destination = destination(ctx, slot);
    match DESTINATIONS.get_ptr_mut(destination) {
        // SAFETY: the pointer comes from the map.
        Some(seen) => add_atomic(unsafe { &mut (*seen).attempts }, 1),
        None => {
            if DESTINATIONS
                .insert(
                    destination,
                    DestinationCounters {
                        attempts: 1,
                        failures: 0,
                    },
                    0,
                )
                .is_err()
            {
                lost(loss::DESTINATION_NOT_STORED);
            }
        }
    }
}

/// An attempt was answered.
#[inline(always)]
fn connected(ctx: &SockOpsContext) {
    let Some((socket, counters)) = known(ctx) else { return };
    if socket.flags & PENDING_ATTEMPT != 0 {
        socket.flags &= !PENDING_ATTEMPT;
        add_atomic(&mut counters.connects, 1);
    }
}

/// A connection was accepted, in an interrupt: its first packet tells its cgroup and counts it.
#[inline(always)]
fn accepted(ctx: &SockOpsContext) {
    let Some(socket) = socket(ctx) else { return };
    *socket = SocketState {
        role: ROLE_ACCEPTED,
        flags: PENDING_ACCEPT,
        ..SocketState::default()
    };
    ask_for_reports(ctx);
}

/// A socket closed: an attempt that is still under way has failed.
#[inline(always)]
fn closed(ctx: &SockOpsContext) {
    let Some((socket, counters)) = known(ctx) else { return };
    if socket.flags & PENDING_ATTEMPT == 0 {
        return;
    }
    socket.flags &= !PENDING_ATTEMPT;
    add_atomic(&mut counters.connect_failures, 1);
    debug!(
        ctx,
        "slot {}: attempt at port {} failed",
        socket.slot,
        u32::from_be(ctx.remote_port())
    );
    match DESTINATIONS.get_ptr_mut(destination(ctx, socket.slot)) {
        // SAFETY: the pointer comes from the map.
        Some(seen) => add_atomic(unsafe { &mut (*seen).failures }, 1),
        None => lost(loss::DESTINATION_NOT_STORED),
    }
}

/// Segments were sent again; the third argument is the error of sending, 0 when they went out.
#[inline(always)]
fn retransmitted(ctx: &SockOpsContext) {
    if ctx.arg(2) != 0 {
        return;
    }
    if let Some((_, counters)) = known(ctx) {
        add_atomic(&mut counters.retransmits, u64::from(ctx.arg(1)));
    }
}

#[inline(always)]
fn ask_for_reports(ctx: &SockOpsContext) {
    let wanted = ctx.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG;
    if ctx.set_cb_flags(wanted as i32).is_err() {
        lost(loss::NO_SOCKET_CALLBACKS);
    }
}

/// State of the socket.
#[inline(always)]
fn socket(ctx: &SockOpsContext) -> Option<&'static mut SocketState> {
    // SAFETY: `ops` is this program's context; the verifier knows `sk` as a socket or null.
    unsafe {
        let sk = (*ctx.ops).__bindgen_anon_2.sk;
        if sk.is_null() {
            lost(loss::NO_SOCKET);
            return None;
        }
        state(sk)
    }
}

/// State of a socket whose cgroup is resolved, and that cgroup's counters.
#[inline(always)]
fn known(ctx: &SockOpsContext) -> Option<(&'static mut SocketState, &'static mut NetCounters)> {
    let socket = socket(ctx)?;
    let counters = counters(socket.slot)?;
    Some((socket, counters))
}

#[inline(always)]
fn destination(ctx: &SockOpsContext, slot: u32) -> Destination {
    let ipv4 = ctx.family() == AF_INET;
    let mut destination = Destination {
        slot,
        // The port is in the upper half, in network order.
        port: u32::from_be(ctx.remote_port()) as u16,
        version: if ipv4 { 4 } else { 6 },
        ..Destination::default()
    };
    // SAFETY: `ops` is this program's context. Each word is read by itself at its fixed place: the verifier takes no
    // computed one, and without `volatile` the compiler would compute it.
    unsafe {
        let ops = ctx.ops;
        if ipv4 {
            set_word(&mut destination, 0, read_volatile(&raw const (*ops).remote_ip4));
        } else {
            set_word(&mut destination, 0, read_volatile(&raw const (*ops).remote_ip6[0]));
            set_word(&mut destination, 1, read_volatile(&raw const (*ops).remote_ip6[1]));
            set_word(&mut destination, 2, read_volatile(&raw const (*ops).remote_ip6[2]));
            set_word(&mut destination, 3, read_volatile(&raw const (*ops).remote_ip6[3]));
        }
    }
    destination
}

#[inline(always)]
fn set_word(destination: &mut Destination, index: usize, word: u32) {
    destination.address[index * 4..index * 4 + 4].copy_from_slice(&word.to_ne_bytes());
}
