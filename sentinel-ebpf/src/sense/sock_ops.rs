//! Connections: who opened, who accepted, attempts, failures, retransmits. Attached at the cgroup root; asks the
//! kernel to report on the sockets it meets, beside what others asked for, and changes nothing else.

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_RETRANS_CB,
        BPF_SOCK_OPS_RETRANS_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB,
        BPF_TCP_CLOSE, bpf_sock_ops,
    },
    macros::sock_ops,
    programs::SockOpsContext,
};
use aya_log_ebpf::debug;
use sentinel_common::{
    cost::OF_NET,
    loss,
    net::{
        DIRECTION_OUT, Destination, NO_CONNECTION_COUNTED, NetCounters, PENDING_ATTEMPT, ROLE_ACCEPTED, ROLE_OPENED,
        SocketState, UNCOUNTED,
    },
    sched::CpuState,
};

use super::{
    destination,
    net::{counters, storage},
};
use crate::{
    cost::{self, Program},
    count::{add_atomic, lost},
};

const CONTINUE: u32 = 1;

/// Something happened to a TCP socket. Effect: none but the reports asked for.
#[sock_ops]
pub fn sock_ops(ctx: SockOpsContext) -> u32 {
    let ran = cost::run::<Happened>(ctx.ops);
    if ran { CONTINUE } else { uncounted(&ctx) }
}

struct Happened;

impl Program for Happened {
    const SENSOR: usize = OF_NET;
    const COUNTED: bool = false;
    type Context = bpf_sock_ops;

    #[inline(always)]
    fn work(ops: *mut bpf_sock_ops, _: &mut CpuState) {
        let ctx = &SockOpsContext::new(ops);
        match ctx.op() {
            BPF_SOCK_OPS_TCP_CONNECT_CB => began(ctx, ROLE_OPENED, PENDING_ATTEMPT | UNCOUNTED),
            BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => connected(ctx),
            BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => began(ctx, ROLE_ACCEPTED, UNCOUNTED),
            BPF_SOCK_OPS_STATE_CB if ctx.arg(1) == BPF_TCP_CLOSE => closed(ctx),
            BPF_SOCK_OPS_RETRANS_CB => retransmitted(ctx),
            _ => {}
        }
    }
}

/// `connect` was called, or a connection accepted. Its first packet, which follows at once, counts it for the socket's
/// cgroup.
#[inline(always)]
fn began(ctx: &SockOpsContext, role: u8, flags: u8) {
    let Some(socket) = socket(ctx) else { return };
    *socket = SocketState {
        role,
        flags,
        ..SocketState::default()
    };
    ask_for_reports(ctx);
}

/// While the sensor is switched off: who opened the socket is kept for later, and no attempt is left to be counted when
/// the sensor is on again.
#[cold]
#[inline(never)]
fn uncounted(ctx: &SockOpsContext) -> u32 {
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => began(ctx, ROLE_OPENED, NO_CONNECTION_COUNTED),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => began(ctx, ROLE_ACCEPTED, NO_CONNECTION_COUNTED),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => {
            if let Some(socket) = socket(ctx) {
                socket.flags &= !(PENDING_ATTEMPT | UNCOUNTED);
                socket.flags |= NO_CONNECTION_COUNTED;
            }
        }
        _ => {}
    }
    CONTINUE
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

/// A socket closed: an attempt that is still under way has failed, and a request that was sent last has no answer.
#[inline(always)]
fn closed(ctx: &SockOpsContext) {
    let Some((socket, counters)) = known(ctx) else { return };
    if socket.flags & PENDING_ATTEMPT == 0 {
        if socket.role == ROLE_OPENED && socket.direction == DIRECTION_OUT {
            add_atomic(&mut counters.given_up, 1);
        }
        return;
    }
    if socket.flags & UNCOUNTED != 0 {
        // It ended before it sent anything: nothing told its cgroup, and both counts go to `other`.
        add_atomic(&mut counters.connect_attempts, 1);
    }
    socket.flags &= !(PENDING_ATTEMPT | UNCOUNTED);
    add_atomic(&mut counters.connect_failures, 1);
    debug!(
        ctx,
        "slot {}: attempt at port {} failed",
        socket.slot,
        u32::from_be(ctx.remote_port())
    );
    destination::failed(&of_context(ctx, socket.slot));
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
        storage(sk).or_else(|| {
            lost(loss::NO_SOCKET_STORAGE);
            None
        })
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
fn of_context(ctx: &SockOpsContext, slot: u32) -> Destination {
    // SAFETY: `ops` is this program's context. Each word is read by itself at its fixed place: the verifier takes no
    // computed one, and without `volatile` the compiler would compute it.
    let words = unsafe {
        let ops = ctx.ops;
        if ctx.family() == destination::AF_INET {
            [read_volatile(&raw const (*ops).remote_ip4), 0, 0, 0]
        } else {
            [
                read_volatile(&raw const (*ops).remote_ip6[0]),
                read_volatile(&raw const (*ops).remote_ip6[1]),
                read_volatile(&raw const (*ops).remote_ip6[2]),
                read_volatile(&raw const (*ops).remote_ip6[3]),
            ]
        }
    };
    // The port is in the upper half, in network order.
    destination::of(slot, ctx.family(), words, u32::from_be(ctx.remote_port()) as u16)
}
