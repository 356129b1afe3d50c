// Demultiplexing and what looks at a datagram before DTLS does: ClientHello head, records, cookies.
#include <cstdlib>

#include "../src/client_hello.h"
#include "../src/demux.h"
#include "../src/dtls_records.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imsdc;
  static const CookieJar jar;
  static const NetAddress source = *NetAddress::parse("192.0.2.1", 4000);
  std::vector<std::uint8_t> datagram(data, data + size);
  const DatagramKind kind = kindOf(datagram);
  if (const auto hello = parseClientHello(datagram)) {
    if (kind != DatagramKind::dtls) std::abort();
    if (jar.accepts(*hello, source) && hello->cookie.size() != CookieJar::kCookieBytes) std::abort();
    if (helloVerifyRequest(*hello, jar.make(*hello, source)).size() > size) std::abort();  // no amplification
  }
  std::span<std::uint8_t> rest = datagram;
  std::size_t bytes = 0;
  while (const auto record = nextRecord(rest)) bytes += record->bytes.size();
  if (bytes + rest.size() != size) std::abort();
  return 0;
}
