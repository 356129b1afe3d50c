#include "client_hello.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>

namespace imsdc {
namespace {

constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr std::uint8_t kHelloVerifyRequest = 3;
constexpr std::size_t kRecordHeader = 13;
constexpr std::size_t kHandshakeHeader = 12;
constexpr std::size_t kRandomBytes = 32;
constexpr std::size_t kMaxSessionId = 32;

}  // namespace

std::optional<ClientHelloHead> parseClientHello(std::span<const std::uint8_t> datagram) {
  constexpr std::size_t kBody = kRecordHeader + kHandshakeHeader;
  constexpr std::size_t kSessionId = kBody + 2 + kRandomBytes;
  if (datagram.size() < kSessionId + 2 || datagram[0] != kHandshakeRecord || datagram[1] != 0xfe) return std::nullopt;
  if (datagram[3] != 0 || datagram[4] != 0 || datagram[kRecordHeader] != kClientHello) return std::nullopt;
  const std::span fragmentOffset = datagram.subspan(kRecordHeader + 6, 3);
  if (fragmentOffset[0] != 0 || fragmentOffset[1] != 0 || fragmentOffset[2] != 0) return std::nullopt;
  const std::size_t sessionIdLength = datagram[kSessionId];
  const std::size_t cookieAt = kSessionId + 1 + sessionIdLength;
  if (sessionIdLength > kMaxSessionId || cookieAt >= datagram.size()) return std::nullopt;
  const std::size_t cookieLength = datagram[cookieAt];
  if (cookieAt + 1 + cookieLength > datagram.size()) return std::nullopt;
  ClientHelloHead head;
  head.recordSequence = datagram.subspan(5, 6);
  head.messageSequence = static_cast<std::uint16_t>(datagram[kRecordHeader + 4] << 8 | datagram[kRecordHeader + 5]);
  head.random = datagram.subspan(kBody + 2, kRandomBytes);
  head.cookie = datagram.subspan(cookieAt + 1, cookieLength);
  return head;
}

std::vector<std::uint8_t> helloVerifyRequest(const ClientHelloHead& hello, std::span<const std::uint8_t> cookie) {
  const auto bodyLength = static_cast<std::uint8_t>(3 + cookie.size());
  std::vector<std::uint8_t> bytes{kHandshakeRecord, 0xfe, 0xff, 0, 0};  // RFC 6347 4.2.1: version DTLS 1.0, whatever follows
  bytes.insert(bytes.end(), hello.recordSequence.begin(), hello.recordSequence.end());
  bytes.insert(bytes.end(), {0, static_cast<std::uint8_t>(kHandshakeHeader + bodyLength)});
  bytes.insert(bytes.end(), {kHelloVerifyRequest, 0, 0, bodyLength, 0, 0, 0, 0, 0, 0, 0, bodyLength});
  bytes.insert(bytes.end(), {0xfe, 0xff, static_cast<std::uint8_t>(cookie.size())});
  bytes.insert(bytes.end(), cookie.begin(), cookie.end());
  return bytes;
}

std::vector<std::uint8_t> placeholderClientHello() {
  // client_version, random, no session, no cookie, one cipher suite (ECDHE-ECDSA-AES128-GCM-SHA256), null compression.
  constexpr std::uint8_t kBodyLength = 2 + kRandomBytes + 1 + 1 + 4 + 2;
  std::vector<std::uint8_t> bytes{kHandshakeRecord, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                  static_cast<std::uint8_t>(kHandshakeHeader + kBodyLength)};
  bytes.insert(bytes.end(), {kClientHello, 0, 0, kBodyLength, 0, 0, 0, 0, 0, 0, 0, kBodyLength});
  bytes.insert(bytes.end(), {0xfe, 0xfd});
  bytes.insert(bytes.end(), kRandomBytes, 0);
  bytes.insert(bytes.end(), {0, 0, 0, 2, 0xc0, 0x2b, 1, 0});
  return bytes;
}

CookieJar::CookieJar() { RAND_bytes(secret_.data(), static_cast<int>(secret_.size())); }

CookieJar::Cookie CookieJar::make(const ClientHelloHead& hello, const NetAddress& source) const {
  std::vector<std::uint8_t> bound(hello.random.begin(), hello.random.end());
  for (const char octet : source.octets()) bound.push_back(static_cast<std::uint8_t>(octet));
  bound.push_back(static_cast<std::uint8_t>(source.port() >> 8));
  bound.push_back(static_cast<std::uint8_t>(source.port()));
  Cookie cookie{};
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), bound.data(), bound.size(), digest.data(),
       &length);
  std::copy_n(digest.begin(), cookie.size(), cookie.begin());
  return cookie;
}

bool CookieJar::accepts(const ClientHelloHead& hello, const NetAddress& source) const {
  if (hello.cookie.size() != kCookieBytes) return false;
  const Cookie expected = make(hello, source);
  return CRYPTO_memcmp(expected.data(), hello.cookie.data(), expected.size()) == 0;
}

}  // namespace imsdc
