#pragma once

#include <cstddef>
#include <cstdint>

namespace imsdc {

/** RFC 8831 8: payload protocol identifiers of data channels. */
enum class Ppid : std::uint32_t {
  dcep = 50,
  text = 51,
  binaryPartial = 52,  // deprecated, RFC 8831 6.6: still sent by old stacks
  binary = 53,
  textPartial = 54,
  textEmpty = 56,
  binaryEmpty = 57,
};

/** RFC 8832 8.2.1: the first octet of a DCEP message. */
enum class DcepType : std::uint8_t { acknowledge = 2, open = 3 };

inline bool isText(std::uint32_t ppid) {
  const auto kind = static_cast<Ppid>(ppid);
  return kind == Ppid::text || kind == Ppid::textPartial || kind == Ppid::textEmpty;
}
inline bool isEmpty(std::uint32_t ppid) {
  return static_cast<Ppid>(ppid) == Ppid::textEmpty || static_cast<Ppid>(ppid) == Ppid::binaryEmpty;
}
inline bool isUserMessage(std::uint32_t ppid) {
  return isText(ppid) || isEmpty(ppid) || static_cast<Ppid>(ppid) == Ppid::binary ||
         static_cast<Ppid>(ppid) == Ppid::binaryPartial;
}
inline std::size_t userBytes(std::uint32_t ppid, std::size_t size) { return isEmpty(ppid) ? 0 : size; }

}  // namespace imsdc
