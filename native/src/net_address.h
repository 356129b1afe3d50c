#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imsdc {

/** An IPv4 or IPv6 address with port. Addresses are literals: a worker resolves no names. */
class NetAddress {
 public:
  NetAddress() { storage_.v4.sin_family = AF_UNSPEC; }
  static std::optional<NetAddress> parse(std::string_view literal, std::uint16_t port);
  /** A zone index of a link-local address is kept; anything but IPv4 and IPv6 gives an unspecified address. */
  static NetAddress from(const sockaddr* address);

  [[nodiscard]] bool specified() const { return storage_.v4.sin_family != AF_UNSPEC; }
  [[nodiscard]] int family() const { return storage_.v4.sin_family; }
  [[nodiscard]] std::uint16_t port() const { return ntohs(storage_.v4.sin_port); }  // same place in both
  [[nodiscard]] std::string host() const;
  [[nodiscard]] std::string text() const { return host() + " port " + std::to_string(port()); }
  /** Network order: 4 or 16 bytes. */
  [[nodiscard]] std::string_view octets() const;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t length() const { return family() == AF_INET6 ? sizeof storage_.v6 : sizeof storage_.v4; }
  friend bool operator==(const NetAddress& left, const NetAddress& right) {
    return left.family() == right.family() && left.storage_.v4.sin_port == right.storage_.v4.sin_port &&
           left.octets() == right.octets();
  }

 private:
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage_{};
};

}  // namespace imsdc
