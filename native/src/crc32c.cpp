#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace imsdc {
namespace {

constexpr std::size_t kChecksumOffset = 8;  // source port 2, destination port 2, verification tag 4
constexpr std::size_t kChecksumEnd = 12;
constexpr std::uint32_t kReflectedPolynomial = 0x82f63b78;  // Castagnoli

constexpr std::array<std::uint32_t, 256> makeTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflectedPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}
constexpr auto kTable = makeTable();

std::uint32_t updatePortable(std::uint32_t crc, std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ byte) & 0xff];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t updateSse(std::uint32_t crc, std::span<const std::uint8_t> bytes) {
  std::uint64_t wide = crc;
  while (bytes.size() >= 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    wide = _mm_crc32_u64(wide, word);
    bytes = bytes.subspan(8);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (const std::uint8_t byte : bytes) narrow = _mm_crc32_u8(narrow, byte);
  return narrow;
}

const bool kHasSse42 = __builtin_cpu_supports("sse4.2") != 0;

std::uint32_t update(std::uint32_t crc, std::span<const std::uint8_t> bytes) {
  return kHasSse42 ? updateSse(crc, bytes) : updatePortable(crc, bytes);
}
#else
std::uint32_t update(std::uint32_t crc, std::span<const std::uint8_t> bytes) { return updatePortable(crc, bytes); }
#endif

}  // namespace

std::uint32_t sctpChecksum(std::span<const std::uint8_t> packet) {
  if (packet.size() < kChecksumEnd) return 0;
  constexpr std::array<std::uint8_t, 4> kZero{};
  std::uint32_t crc = update(~0U, packet.first(kChecksumOffset));
  crc = update(crc, kZero);
  return ~update(crc, packet.subspan(kChecksumEnd));
}

}  // namespace imsdc
