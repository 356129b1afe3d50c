#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace imsdc {

/**
 * CRC32c of an SCTP packet whose checksum field is taken as zero (RFC 9260 6.8, appendix A), as the four bytes that go
 * into that field, read as a little-endian number. usrsctp computes it bit by table; the instruction of SSE 4.2 is five
 * times faster, so the stack is told that the layer below does it.
 */
std::uint32_t sctpChecksum(std::span<const std::uint8_t> packet);

}  // namespace imsdc
