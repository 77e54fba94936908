//! Inbound work, which is what brings tokens: each connection accepted, and each request after the first on it. The
//! same units as those of the network sensor, counted here for the scope under the policy alone. And answers, which bring
//! credit: the first data on each connection that the scope opened and has not closed yet.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_TCP_CONNECT_CB, bpf_sock},
    helpers::{
        bpf_sk_fullsock,
        generated::{bpf_sk_storage_get, bpf_tcp_sock},
    },
    macros::{cgroup_skb, sock_ops},
    programs::{SkBuffContext, SockOpsContext},
};
use sentinel_common::{
    budget::{InboundSocket, LIMIT_ACCEPTS, LIMIT_BY_ANSWERS, LIMIT_CONNECTS, Policy},
    net::{ROLE_ACCEPTED, ROLE_OPENED, ROLE_UNKNOWN},
};

use super::{Locked, admission, now_ns, policy};
use crate::{
    maps::INBOUND_SOCKETS,
    sense::packet::{self, TCP},
};

const CONTINUE: u32 = 1;
const LET_PASS: i32 = 1;
const DROP: i32 = 0;
const CREATE: u64 = 1;
/// `BPF_TCP_ESTABLISHED`: whoever gave up has closed, and what comes then is no answer any more.
const ESTABLISHED: u32 = 1;

/// Something happened to a TCP socket. Effect: none.
#[sock_ops]
pub fn limit_sock_ops(ctx: SockOpsContext) -> u32 {
    let policy = policy();
    if policy.asks_for(LIMIT_CONNECTS) {
        match ctx.op() {
            BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => begins(&ctx, &policy, ROLE_ACCEPTED),
            BPF_SOCK_OPS_TCP_CONNECT_CB => begins(&ctx, &policy, ROLE_OPENED),
            _ => {}
        }
    }
    CONTINUE
}

/// A connection begins: its role is known, and an accepted one is a unit of work.
#[inline(always)]
fn begins(ctx: &SockOpsContext, policy: &Policy, role: u8) {
    // SAFETY: `ops` is this program's context; the verifier knows `sk` as a socket or null.
    let socket = unsafe {
        let sk = (*ctx.ops).__bindgen_anon_2.sk;
        if sk.is_null() {
            return;
        }
        socket(sk)
    };
    let accepted = u32::from(role == ROLE_ACCEPTED);
    if let Some(socket) = socket {
        *socket = InboundSocket {
            role: u32::from(role),
            accepted,
            ..InboundSocket::default()
        };
    }
    if accepted != 0 {
        worked(policy);
    }
}

/// A packet reaches a socket. Effect: a packet that asks for a connection is dropped when it is above what is admitted;
/// every other passes.
#[cgroup_skb(ingress)]
pub fn limit_ingress(ctx: SkBuffContext) -> i32 {
    let policy = policy();
    if !policy.asks_for(LIMIT_CONNECTS | LIMIT_ACCEPTS) {
        return LET_PASS;
    }
    let skb = ctx.skb.skb;
    let packet = packet::parse(skb);
    if packet.protocol != TCP {
        return LET_PASS;
    }
    if packet.opening {
        return if admission::admits(&policy) { LET_PASS } else { DROP };
    }
    if packet.data && policy.asks_for(LIMIT_CONNECTS) {
        request(skb, &policy);
    }
    LET_PASS
}

/// Data came in: a request, if the socket was accepted and has answered since the last; an answer, if it was opened.
#[inline(always)]
fn request(skb: *mut __sk_buff, policy: &Policy) {
    // SAFETY: `skb` is this program's context; the helpers and the verifier check the pointers.
    unsafe {
        let sk = (*skb).__bindgen_anon_2.sk;
        let full = if sk.is_null() { sk } else { bpf_sk_fullsock(sk) };
        if full.is_null() {
            return;
        }
        let tcp = bpf_tcp_sock(full);
        if tcp.is_null() {
            return;
        }
        // Counted before a segment leaves. `snd_nxt` moves after that, and on loopback the next request can be faster.
        let sent = (*tcp).data_segs_out;
        let Some(socket) = socket(full) else {
            if let Some(locked) = Locked::of(policy) {
                locked.0.inbound_unseen = locked.0.inbound_unseen.wrapping_add(1);
            }
            return;
        };
        if socket.role == u32::from(ROLE_UNKNOWN) {
            // Older than the policy: the service's port is the smaller one.
            let (local, remote) = ((*full).src_port, u32::from(u16::from_be((*full).dst_port)));
            socket.role = u32::from(if local < remote { ROLE_ACCEPTED } else { ROLE_OPENED });
        }
        if socket.role == u32::from(ROLE_ACCEPTED) {
            if socket.request(sent) {
                worked(policy);
            }
        } else if policy.asks_for(LIMIT_BY_ANSWERS) && (*full).state == ESTABLISHED && socket.answer() {
            answered(policy);
        }
    }
}

/// A unit of work came in.
#[inline(always)]
fn worked(policy: &Policy) {
    let now_ns = now_ns();
    if policy.limits(LIMIT_CONNECTS, now_ns) {
        let (reserve_per_s, deposit, floor) = (policy.reserve_per_s, policy.deposit, policy.floor);
        if let Some(locked) = Locked::of(policy) {
            locked.0.work(now_ns, reserve_per_s, deposit, floor);
        }
    }
}

/// An attempt was answered.
#[inline(always)]
fn answered(policy: &Policy) {
    let now_ns = now_ns();
    if policy.limits(LIMIT_CONNECTS, now_ns)
        && let Some(locked) = Locked::of(policy)
    {
        locked.0.answer(now_ns);
    }
}

/// What is kept with a socket, made when there is none yet.
///
/// # Safety
/// `sk` must be a full socket that the verifier knows as one.
#[inline(always)]
unsafe fn socket(sk: *mut bpf_sock) -> Option<&'static mut InboundSocket> {
    let map = core::ptr::from_ref(&INBOUND_SOCKETS).cast_mut().cast();
    // SAFETY: the caller's promise. The storage lives as long as the socket, and so longer than this run.
    unsafe {
        bpf_sk_storage_get(map, sk.cast(), core::ptr::null_mut(), CREATE)
            .cast::<InboundSocket>()
            .as_mut()
    }
}
