#include "net_address.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

namespace imsdc {

std::optional<NetAddress> NetAddress::parse(std::string_view literal, std::uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (literal.empty() || literal.size() >= text.size()) return std::nullopt;
  literal.copy(text.data(), literal.size());
  NetAddress result;
  if (inet_pton(AF_INET, text.data(), &result.storage_.v4.sin_addr) == 1) {
    result.storage_.v4.sin_family = AF_INET;
    result.storage_.v4.sin_port = htons(port);
    return result;
  }
  result.storage_.v6 = {};
  if (inet_pton(AF_INET6, text.data(), &result.storage_.v6.sin6_addr) == 1) {
    result.storage_.v6.sin6_family = AF_INET6;
    result.storage_.v6.sin6_port = htons(port);
    return result;
  }
  return std::nullopt;
}

NetAddress NetAddress::from(const sockaddr* address) {
  NetAddress result;
  if (address->sa_family == AF_INET) std::memcpy(&result.storage_.v4, address, sizeof result.storage_.v4);
  if (address->sa_family == AF_INET6) std::memcpy(&result.storage_.v6, address, sizeof result.storage_.v6);
  return result;
}

std::string NetAddress::host() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (!specified()) return {};
  inet_ntop(family(), octets().data(), text.data(), text.size());
  return text.data();
}

std::string_view NetAddress::octets() const {
  if (family() == AF_INET6) {
    return {reinterpret_cast<const char*>(&storage_.v6.sin6_addr), sizeof storage_.v6.sin6_addr};
  }
  return {reinterpret_cast<const char*>(&storage_.v4.sin_addr), sizeof storage_.v4.sin_addr};
}

}  // namespace imsdc
