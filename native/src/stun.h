#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net_address.h"

namespace imsdc::stun {

/** Short-term credentials of an ICE-lite agent (RFC 8445 5.3). Empty: a line without ICE. */
struct Credentials {
  std::string ufrag;
  std::string password;
  [[nodiscard]] bool present() const { return !ufrag.empty(); }
};

/** 48 and 144 bits of randomness in ice-char, twice what RFC 8839 5.4 asks. */
Credentials makeCredentials();

struct Answer {
  std::vector<std::uint8_t> datagram;
  /** The request carried the right MESSAGE-INTEGRITY: its source may be sent to (RFC 8445 7.3.1). */
  bool authenticated = false;
  /** USE-CANDIDATE in an authenticated request: the peer has nominated this pair. */
  bool nominated = false;
};

/**
 * Answers a Binding request (RFC 8489 6.3, 9.1.3; RFC 8445 7.3). With credentials the request has to be authenticated,
 * else it gets 400 or 401; without, it is answered as a plain server does (RFC 5763 6.7.2). An unknown attribute that
 * must be understood gets 420. Nothing for anything else: indications, responses, malformed messages.
 */
std::optional<Answer> answer(std::span<const std::uint8_t> datagram, const NetAddress& source,
                             const Credentials& credentials);

/** A Binding indication: opens a gate towards the peer and asks for no reply. */
std::vector<std::uint8_t> bindingIndication();

/** For peers in tests and benchmarks. */
std::vector<std::uint8_t> bindingRequest(std::string_view username, std::string_view password, bool nominate);

}  // namespace imsdc::stun
