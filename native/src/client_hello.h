#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net_address.h"

namespace imsdc {

/** What the first fragment of a ClientHello says, as far as the cookie (RFC 6347 4.2.1). Spans point into the datagram. */
struct ClientHelloHead {
  std::span<const std::uint8_t> recordSequence;  // 6
  std::uint16_t messageSequence = 0;
  std::span<const std::uint8_t> random;  // 32
  std::span<const std::uint8_t> cookie;
};

/**
 * Reads the start of a datagram as an unencrypted ClientHello whose fragment begins at offset 0. The cookie stands in
 * the first hundred bytes, so a hello in several fragments (post-quantum key shares, R30) is recognised by its first.
 *
 * | type 22 | version 2 | epoch 0 2 | sequence 6 | length 2 |
 * | type 1 | length 3 | message_seq 2 | fragment_offset 3 | fragment_length 3 |
 * | client_version 2 | random 32 | session_id <0..32> | cookie <0..255> | ...
 */
std::optional<ClientHelloHead> parseClientHello(std::span<const std::uint8_t> datagram);

/** A HelloVerifyRequest for `hello`: nothing is remembered for it. */
std::vector<std::uint8_t> helloVerifyRequest(const ClientHelloHead& hello, std::span<const std::uint8_t> cookie);

/** A ClientHello without content that makes a server ask for a cookie. It stands for the one that was not kept. */
std::vector<std::uint8_t> placeholderClientHello();

/** Cookies bind a ClientHello to the address that it came from: who returns one can receive there. */
class CookieJar {
 public:
  static constexpr std::size_t kCookieBytes = 20;
  using Cookie = std::array<std::uint8_t, kCookieBytes>;
  CookieJar();
  [[nodiscard]] Cookie make(const ClientHelloHead& hello, const NetAddress& source) const;
  [[nodiscard]] bool accepts(const ClientHelloHead& hello, const NetAddress& source) const;

 private:
  std::array<std::uint8_t, 32> secret_{};
};

}  // namespace imsdc
