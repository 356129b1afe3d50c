#pragma once

#include <cstdint>
#include <span>

namespace imsdc {

enum class DatagramKind : std::uint8_t { stun, dtls, other };

/**
 * RFC 7983 7: the first octet tells what a datagram is.
 *
 *   0..3    STUN          16..19  ZRTP        128..191  RTP/RTCP
 *   20..63  DTLS          64..79  TURN channel
 *
 * Only STUN and DTLS are for us.
 */
constexpr DatagramKind kindOf(std::span<const std::uint8_t> datagram) {
  if (datagram.empty()) return DatagramKind::other;
  const std::uint8_t first = datagram.front();
  if (first <= 3) return DatagramKind::stun;
  return first >= 20 && first <= 63 ? DatagramKind::dtls : DatagramKind::other;
}

}  // namespace imsdc
