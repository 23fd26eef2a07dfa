//! Which network addresses may be dialled.
//!
//! The question is asked of the address that is dialled, never of a name: a name under somebody else's control can
//! resolve to anything. Must never be asked before the address is known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressClass {
    Public,
    Loopback,
    /// RFC 1918, RFC 4193, RFC 6598; and what is set aside for documentation and tests (RFC 5737, RFC 2544, RFC 3849),
    /// where networks of companies and their proxies answer all the same.
    Private,
    /// Link-local, cloud metadata, multicast, reserved: no API lives there.
    Special,
}

impl AddressClass {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Special => "link-local, metadata or reserved",
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        match (a, b, c, d) {
            (127, ..) => Self::Loopback,
            // Alibaba Cloud's metadata service lives in the shared address space.
            (100, 100, 100, 200) => Self::Special,
            (10, ..) | (172, 16..=31, ..) | (192, 168, ..) | (100, 64..=127, ..) => Self::Private,
            (192, 0, 2, _) | (198, 18..=19, ..) | (198, 51, 100, _) | (203, 0, 113, _) => Self::Private,
            (0, ..) | (169, 254, ..) | (192, 0, 0, _) | (192, 88, 99, _) | (224..=255, ..) => Self::Special,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if address.is_loopback() {
            return Self::Loopback;
        }
        let segments = address.segments();
        let embedded = |high: u16, low: u16| Self::of_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
        match segments {
            // IPv4-mapped, IPv4-compatible (and `::`), and IPv4-translated.
            [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => embedded(high, low),
            [0, 0, 0, 0, 0, 0, ..] => Self::Special,
            // NAT64: what stands behind it is an IPv4 address.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
            [0x64, 0xff9b, 1, ..] => Self::Special,
            // 6to4.
            [0x2002, high, low, ..] => embedded(high, low),
            // Documentation.
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Self::Private,
            // Teredo and other special assignments; discard.
            [0x2001, 0..=0x1ff, ..] | [0x100, 0, 0, 0, ..] => Self::Special,
            // Amazon's metadata service.
            [0xfd00, 0xec2, ..] => Self::Special,
            [0xfc00..=0xfdff, ..] => Self::Private,
            // Link-local, site-local, multicast.
            [0xfe80..=0xfeff, ..] | [0xff00..=0xffff, ..] => Self::Special,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        use AddressClass::{Loopback, Private, Public, Special};
        for (text, class) in [
            ("8.8.8.8", Public),
            ("2606:4700::1111", Public),
            ("127.0.0.1", Loopback),
            ("127.255.0.9", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("64:ff9b::7f00:1", Loopback),
            ("2002:7f00:1::", Loopback),
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("::ffff:10.0.0.1", Private),
            ("64:ff9b::a00:1", Private),
            ("fd12::1", Private),
            ("0.0.0.0", Special),
            ("169.254.169.254", Special),
            ("::ffff:169.254.169.254", Special),
            ("64:ff9b::a9fe:a9fe", Special),
            ("2002:a9fe:a9fe::", Special),
            ("64:ff9b:1::1", Special),
            ("100.100.100.200", Special),
            ("fd00:ec2::254", Special),
            ("fe80::1", Special),
            ("fec0::1", Special),
            ("ff02::1", Special),
            ("224.0.0.1", Special),
            ("255.255.255.255", Special),
            ("192.0.2.1", Private),
            ("198.18.0.1", Private),
            ("203.0.113.80", Private),
            ("192.0.0.1", Special),
            ("::", Special),
            ("::127.0.0.1", Special),
            ("2001:0:1::1", Special),
            ("2001:db8::1", Private),
        ] {
            assert_eq!(AddressClass::of(text.parse().unwrap()), class, "{text}");
        }
    }
}
