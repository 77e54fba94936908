//! The few bytes of a packet that matter: protocol, whether it carries data, whether it asks for a connection, whether it is
//! a reset.

use core::ptr::read_volatile;

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes};

/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;
/// IP protocol number of UDP.
pub(crate) const UDP: u8 = 17;

/// Where a TCP header tells its length and its flags.
const TCP_OFFSET_AND_FLAGS: usize = 12;
/// An IPv4 header without options.
const SHORTEST_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const FLAG_SYN: u8 = 0x02;
const FLAG_RST: u8 = 0x04;
const FLAG_ACK: u8 = 0x10;

/// What was read of a packet.
pub(crate) struct Packet {
    /// [`TCP`], [`UDP`], or 0 for anything else and for headers that could not be read.
    pub protocol: u8,
    /// It carries data.
    pub data: bool,
    /// It asks for a TCP connection.
    pub opening: bool,
    /// It is a TCP reset.
    pub reset: bool,
}

const UNPARSED: Packet = Packet {
    protocol: 0,
    data: false,
    opening: false,
    reset: false,
};

/// Reads the headers of a packet that begins at its IP header.
///
/// A TCP header behind an IP header of the usual length is read in place. Only behind options its place varies, which
/// packet pointers of older verifiers do not like: there a helper reads it.
#[inline(always)]
pub(crate) fn parse(skb: *const __sk_buff) -> Packet {
    // SAFETY: `skb` is the program's context; the verifier turns these fields into packet pointers.
    let (start, end, length) = unsafe { ((*skb).data as usize, (*skb).data_end as usize, (*skb).len) };
    if start + SHORTEST_HEADER > end {
        return UNPARSED;
    }
    // SAFETY: these bytes lie within the length that was just checked. Each is read by itself at its fixed place: the
    // verifier takes no computed one, and without `volatile` the compiler would compute it.
    let (first, ipv6_next, ipv4_protocol) = unsafe {
        let byte = |at: usize| read_volatile((start as *const u8).add(at));
        (byte(0), byte(6), byte(9))
    };
    let (protocol, header) = if first >> 4 == 4 {
        (ipv4_protocol, usize::from(first & 0xf) * 4)
    } else {
        (ipv6_next, IPV6_HEADER)
    };
    match protocol {
        TCP => {
            let in_place = match header {
                SHORTEST_HEADER => offset_and_flags::<SHORTEST_HEADER>(start, end),
                IPV6_HEADER if first >> 4 != 4 => offset_and_flags::<IPV6_HEADER>(start, end),
                _ => None,
            };
            match in_place.or_else(|| offset_and_flags_by_helper(skb, header)) {
                Some(bytes) => tcp(header, length, bytes),
                None => UNPARSED,
            }
        }
        // A UDP header has eight bytes.
        UDP => Packet {
            protocol: UDP,
            data: length as usize > header + 8,
            opening: false,
            reset: false,
        },
        _ => UNPARSED,
    }
}

/// The two bytes of a TCP header that begins behind so many bytes; `None` where they do not lie in the packet's first
/// part.
#[inline(always)]
fn offset_and_flags<const HEADER: usize>(start: usize, end: usize) -> Option<[u8; 2]> {
    if start + (HEADER + TCP_OFFSET_AND_FLAGS + 2) > end {
        return None;
    }
    // SAFETY: these bytes lie within the length that was just checked.
    Some(unsafe { read_volatile((start as *const u8).add(HEADER + TCP_OFFSET_AND_FLAGS).cast()) })
}

#[inline(always)]
fn offset_and_flags_by_helper(skb: *const __sk_buff, header: usize) -> Option<[u8; 2]> {
    let mut bytes = [0u8; 2];
    // SAFETY: the helper checks the offset against the packet, and fills exactly the two bytes it is given.
    let read = unsafe {
        bpf_skb_load_bytes(
            skb.cast(),
            (header + TCP_OFFSET_AND_FLAGS) as u32,
            bytes.as_mut_ptr().cast(),
            2,
        )
    };
    (read == 0).then_some(bytes)
}

#[inline(always)]
fn tcp(header: usize, length: u32, [offset, flags]: [u8; 2]) -> Packet {
    let headers = header + usize::from(offset >> 4) * 4;
    Packet {
        protocol: TCP,
        data: length as usize > headers,
        opening: flags & (FLAG_SYN | FLAG_ACK) == FLAG_SYN,
        reset: flags & FLAG_RST != 0,
    }
}
