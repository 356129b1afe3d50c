// STUN from anybody: with and without credentials, from both address families.
#include <cstdlib>

#include "../src/stun.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imsdc;
  static const NetAddress v4 = *NetAddress::parse("192.0.2.1", 4000);
  static const NetAddress v6 = *NetAddress::parse("2001:db8::1", 4000);
  static const stun::Credentials credentials{"evtj", "VOkJxbRl1RmTxUk/WvJxBt"};  // of the RFC 5769 vectors
  const std::span<const std::uint8_t> datagram{data, size};
  for (const NetAddress& source : {v4, v6}) {
    for (const stun::Credentials& known : {stun::Credentials{}, credentials}) {
      const auto answer = stun::answer(datagram, source, known);
      if (!answer) continue;
      // No reflection worth an attacker's while, and never an answer that would be answered.
      if (answer->datagram.size() > size + 96 || stun::answer(answer->datagram, source, known)) std::abort();
      if (answer->nominated && !answer->authenticated) std::abort();
    }
  }
  return 0;
}
