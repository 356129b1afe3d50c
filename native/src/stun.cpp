#include "stun.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace imsdc::stun {
namespace {

// RFC 8489 5:
//  0                   1                   2                   3
// |0 0|     STUN Message Type     |         Message Length        |
// |                         Magic Cookie                          |
// |                  Transaction ID (96 bits)                     |
constexpr std::size_t kHeaderBytes = 20;
constexpr std::array<std::uint8_t, 4> kCookie{0x21, 0x12, 0xa4, 0x42};
constexpr std::uint16_t kBindingRequest = 0x0001;
constexpr std::uint16_t kBindingIndication = 0x0011;
constexpr std::uint16_t kBindingSuccess = 0x0101;
constexpr std::uint16_t kBindingError = 0x0111;

constexpr std::uint16_t kUsername = 0x0006;
constexpr std::uint16_t kMessageIntegrity = 0x0008;
constexpr std::uint16_t kErrorCode = 0x0009;
constexpr std::uint16_t kUnknownAttributes = 0x000a;
constexpr std::uint16_t kMessageIntegritySha256 = 0x001c;
constexpr std::uint16_t kXorMappedAddress = 0x0020;
constexpr std::uint16_t kPriority = 0x0024;
constexpr std::uint16_t kUseCandidate = 0x0025;
constexpr std::uint16_t kFingerprint = 0x8028;
constexpr std::uint16_t kIceControlled = 0x8029;

constexpr std::uint32_t kFingerprintXor = 0x5354554e;
constexpr std::size_t kIntegrityBytes = 20;
constexpr std::size_t kMaxUnknown = 8;

std::uint16_t read16(const std::uint8_t* at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }
std::uint32_t read32(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

constexpr auto kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0);  // ITU V.42
    table[byte] = crc;
  }
  return table;
}();

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~0U;
  for (const std::uint8_t byte : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ byte) & 0xff];
  return ~crc;
}

std::array<std::uint8_t, kIntegrityBytes> hmac(std::span<const std::uint8_t> bytes, std::string_view key) {
  std::array<std::uint8_t, kIntegrityBytes> digest{};
  unsigned int length = 0;
  HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()), bytes.data(), bytes.size(), digest.data(), &length);
  return digest;
}

/** Builds a message; the length field always covers what has been appended. */
class Builder {
 public:
  Builder(std::uint16_t type, std::span<const std::uint8_t> transactionId) {
    put16(type);
    put16(0);
    for (const std::uint8_t byte : kCookie) bytes_.push_back(byte);
    for (const std::uint8_t byte : transactionId) bytes_.push_back(byte);
  }

  void attribute(std::uint16_t type, std::span<const std::uint8_t> value) {
    put16(type);
    put16(static_cast<std::uint16_t>(value.size()));
    for (const std::uint8_t byte : value) bytes_.push_back(byte);
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
    setLength(0);
  }

  void error(int code, std::string_view reason) {
    std::vector<std::uint8_t> value{0, 0, static_cast<std::uint8_t>(code / 100), static_cast<std::uint8_t>(code % 100)};
    value.insert(value.end(), reason.begin(), reason.end());
    attribute(kErrorCode, value);
  }

  void xorMappedAddress(const NetAddress& source) {
    std::vector<std::uint8_t> value{0, static_cast<std::uint8_t>(source.family() == AF_INET6 ? 2 : 1)};
    value.push_back(static_cast<std::uint8_t>((source.port() >> 8) ^ kCookie[0]));
    value.push_back(static_cast<std::uint8_t>((source.port() & 0xff) ^ kCookie[1]));
    const std::string_view octets = source.octets();
    // The mask is the cookie followed by the transaction id: bytes 4..19 of the message (RFC 8489 14.2).
    for (std::size_t index = 0; index < octets.size(); ++index) {
      value.push_back(static_cast<std::uint8_t>(static_cast<std::uint8_t>(octets[index]) ^ bytes_[4 + index]));
    }
    attribute(kXorMappedAddress, value);
  }

  void integrity(std::string_view password) {
    setLength(4 + kIntegrityBytes);  // RFC 8489 14.5: as if the attribute were there already
    attribute(kMessageIntegrity, hmac(bytes_, password));
  }

  std::vector<std::uint8_t> finish(bool fingerprint) {
    if (fingerprint) {
      setLength(8);
      const std::uint32_t crc = crc32(bytes_) ^ kFingerprintXor;
      const std::array<std::uint8_t, 4> value{static_cast<std::uint8_t>(crc >> 24), static_cast<std::uint8_t>(crc >> 16),
                                              static_cast<std::uint8_t>(crc >> 8), static_cast<std::uint8_t>(crc)};
      attribute(kFingerprint, value);
    }
    return std::move(bytes_);
  }

 private:
  void put16(std::uint16_t value) {
    bytes_.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes_.push_back(static_cast<std::uint8_t>(value));
  }
  void setLength(std::size_t still) {
    const std::size_t length = bytes_.size() - kHeaderBytes + still;
    bytes_[2] = static_cast<std::uint8_t>(length >> 8);
    bytes_[3] = static_cast<std::uint8_t>(length);
  }
  std::vector<std::uint8_t> bytes_;
};

struct Request {
  std::span<const std::uint8_t> transactionId;
  std::optional<std::string_view> username;
  std::size_t integrityOffset = 0;  // of the attribute's header; 0: absent
  bool fingerprint = false;
  bool useCandidate = false;
  bool controlled = false;
  std::vector<std::uint8_t> unknown;  // types, network order
};

/** Nothing: not a well-formed Binding request, to be dropped in silence. */
std::optional<Request> parse(std::span<const std::uint8_t> datagram) {
  if (datagram.size() < kHeaderBytes || read16(datagram.data()) != kBindingRequest) return std::nullopt;
  if (!std::equal(kCookie.begin(), kCookie.end(), datagram.begin() + 4)) return std::nullopt;
  const std::size_t length = read16(datagram.data() + 2);
  if (length % 4 != 0 || length + kHeaderBytes != datagram.size()) return std::nullopt;
  Request request;
  request.transactionId = datagram.subspan(8, 12);
  std::size_t at = kHeaderBytes;
  while (at + 4 <= datagram.size()) {
    if (request.fingerprint) return std::nullopt;  // FINGERPRINT is the last attribute (RFC 8489 14.7)
    const std::uint16_t type = read16(datagram.data() + at);
    const std::size_t size = read16(datagram.data() + at + 2);
    const std::size_t padded = (size + 3) / 4 * 4;
    if (at + 4 + padded > datagram.size()) return std::nullopt;
    const std::span<const std::uint8_t> value = datagram.subspan(at + 4, size);
    const bool sealed = request.integrityOffset != 0;  // what follows MESSAGE-INTEGRITY is ignored, but FINGERPRINT
    if (type == kFingerprint) {
      if (size != 4 || read32(value.data()) != (crc32(datagram.first(at)) ^ kFingerprintXor)) return std::nullopt;
      request.fingerprint = true;
    } else if (sealed) {
      // nothing
    } else if (type == kMessageIntegrity) {
      if (size != kIntegrityBytes) return std::nullopt;
      request.integrityOffset = at;
    } else if (type == kUsername) {
      request.username = std::string_view(reinterpret_cast<const char*>(value.data()), value.size());
    } else if (type == kUseCandidate) {
      request.useCandidate = true;
    } else if (type == kIceControlled) {
      request.controlled = true;
    } else if (type < 0x8000 && type != kPriority && type != kMessageIntegritySha256 &&
               request.unknown.size() < 2 * kMaxUnknown) {
      request.unknown.insert(request.unknown.end(), datagram.begin() + static_cast<std::ptrdiff_t>(at),
                             datagram.begin() + static_cast<std::ptrdiff_t>(at) + 2);
    }
    at += 4 + padded;
  }
  return request;
}

bool integrityHolds(std::span<const std::uint8_t> datagram, const Request& request, std::string_view password) {
  std::vector<std::uint8_t> covered(datagram.begin(),
                                    datagram.begin() + static_cast<std::ptrdiff_t>(request.integrityOffset));
  const std::size_t length = request.integrityOffset - kHeaderBytes + 4 + kIntegrityBytes;
  covered[2] = static_cast<std::uint8_t>(length >> 8);
  covered[3] = static_cast<std::uint8_t>(length);
  const auto expected = hmac(covered, password);
  return CRYPTO_memcmp(expected.data(), datagram.data() + request.integrityOffset + 4, expected.size()) == 0;
}

Answer refuse(const Request& request, int code, std::string_view reason) {
  Builder response(kBindingError, request.transactionId);
  response.error(code, reason);
  if (code == 420) response.attribute(kUnknownAttributes, request.unknown);
  return {response.finish(request.fingerprint)};
}

std::string randomText(std::size_t characters) {
  constexpr std::string_view kIceChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::uint8_t> random(characters);
  RAND_bytes(random.data(), static_cast<int>(random.size()));
  std::string text;
  for (const std::uint8_t byte : random) text += kIceChars[byte % kIceChars.size()];
  return text;
}

std::array<std::uint8_t, 12> randomTransactionId() {
  std::array<std::uint8_t, 12> id{};
  RAND_bytes(id.data(), static_cast<int>(id.size()));
  return id;
}

}  // namespace

Credentials makeCredentials() { return {randomText(8), randomText(24)}; }

std::optional<Answer> answer(std::span<const std::uint8_t> datagram, const NetAddress& source,
                             const Credentials& credentials) {
  const std::optional<Request> request = parse(datagram);
  if (!request) return std::nullopt;
  if (credentials.present()) {
    if (request->integrityOffset == 0 || !request->username) return refuse(*request, 400, "Bad Request");
    const std::string_view username = *request->username;
    const bool ours = username.size() > credentials.ufrag.size() && username.starts_with(credentials.ufrag) &&
                      username[credentials.ufrag.size()] == ':';
    if (!ours || !integrityHolds(datagram, *request, credentials.password)) {
      return refuse(*request, 401, "Unauthenticated");
    }
  }
  if (!request->unknown.empty()) return refuse(*request, 420, "Unknown Attribute");
  // A lite agent is always controlled; the peer has to take the other role (RFC 8445 7.3.1.1).
  if (credentials.present() && request->controlled) return refuse(*request, 487, "Role Conflict");
  Builder response(kBindingSuccess, request->transactionId);
  response.xorMappedAddress(source);
  if (credentials.present()) response.integrity(credentials.password);
  return Answer{response.finish(request->fingerprint || credentials.present()), credentials.present(),
                credentials.present() && request->useCandidate};
}

std::vector<std::uint8_t> bindingIndication() {
  Builder message(kBindingIndication, randomTransactionId());
  return message.finish(true);
}

std::vector<std::uint8_t> bindingRequest(std::string_view username, std::string_view password, bool nominate) {
  Builder message(kBindingRequest, randomTransactionId());
  if (!username.empty()) {
    message.attribute(kUsername, {reinterpret_cast<const std::uint8_t*>(username.data()), username.size()});
    if (nominate) message.attribute(kUseCandidate, {});
    message.integrity(password);
  }
  return message.finish(true);
}

}  // namespace imsdc::stun
