// Appends to one chain of an nftables table in the family netdev the two rules (IPv4, IPv6) that forward a datagram from
// the device that it comes in by:
//
//   imsdc-nft-rule TABLE CHAIN        the table has the maps to4 and to6; says what is wrong and ends with 1 if it cannot
//
// nft can load the answer of a map into one field only, so it needs a look-up and a write per field; the kernel can do
// with one look-up and two writes. Registers are words of 32 bits; an address of IPv6 has four:
//
//   key                      device . sport . dport . saddr . daddr
//   answer       next hop  . device . ports . saddr . daddr
//   IPv4         0           1        2       3       4       5
//   IPv6         0           4        5       6       7 10    11      (6: the answer's saddr; 7: the key's)
//
// The key starts where it does so that each register that is used later has been loaded before: nft, which looks at one
// register at a time, can then list the rules (their operands are not to be believed). The types of the maps are in
// src/mf/datagrams/device-table.ts.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "unique_fd.h"

namespace {

// The kernel's enum nft_fwd_attributes: it stands in no header of its own.
constexpr std::uint16_t kFwdDevice = 1;
constexpr std::uint16_t kFwdAddress = 2;
constexpr std::uint16_t kFwdFamily = 3;

constexpr std::uint32_t kRegister = NFT_REG32_00;
constexpr std::uint32_t kNetwork = NFT_PAYLOAD_NETWORK_HEADER;
constexpr std::uint32_t kTransport = NFT_PAYLOAD_TRANSPORT_HEADER;
constexpr std::uint32_t kUdpPorts = 0;
constexpr std::uint32_t kUdpChecksum = 6;
constexpr std::uint32_t kUdpPayload = 8;
constexpr std::uint8_t kDtlsFirst = 20;  // RFC 7983
constexpr std::uint8_t kDtlsLast = 63;

/** A netlink message as it grows: attributes, padded to four octets, nested by calls. */
class Message {
 public:
  template <typename Body>
  void message(std::uint16_t type, std::uint16_t flags, std::uint8_t family, std::uint16_t resource, Body body) {
    const std::size_t start = bytes_.size();
    put(nlmsghdr{0, type, flags, ++sequence_, 0});
    put(nfgenmsg{family, NFNETLINK_V0, htons(resource)});
    body();
    setLength<std::uint32_t>(start);
  }
  void value(std::uint16_t type, const void* data, std::size_t size) {
    put(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + size), type});
    append(data, size);
  }
  void number(std::uint16_t type, std::uint32_t number) {
    const std::uint32_t wire = htonl(number);
    value(type, &wire, sizeof wire);
  }
  void text(std::uint16_t type, const std::string& text) { value(type, text.c_str(), text.size() + 1); }
  template <typename Body>
  void nested(std::uint16_t type, Body body) {
    const std::size_t start = bytes_.size();
    put(nlattr{0, static_cast<std::uint16_t>(type | NLA_F_NESTED)});
    body();
    setLength<std::uint16_t>(start);
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  void append(const void* data, std::size_t size) {
    const auto* first = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
  }
  template <typename Header>
  void put(const Header& header) {
    append(&header, sizeof header);
  }
  template <typename Length>
  void setLength(std::size_t start) {
    const auto length = static_cast<Length>(bytes_.size() - start);
    std::memcpy(&bytes_[start], &length, sizeof length);  // the first field of both headers
  }

  std::vector<std::uint8_t> bytes_;
  std::uint32_t sequence_ = 0;
};

/** Expressions of a rule, in the order in which the kernel evaluates them; the first that does not match ends it. */
class Rule {
 public:
  explicit Rule(Message& out) : out_(out) {}

  void meta(std::uint32_t key, std::uint32_t to) {
    expression("meta", [&] {
      out_.number(NFTA_META_KEY, key);
      out_.number(NFTA_META_DREG, to);
    });
  }
  template <typename Value>
  void compare(std::uint32_t operation, Value value) {
    expression("cmp", [&] {
      out_.number(NFTA_CMP_SREG, kRegister);
      out_.number(NFTA_CMP_OP, operation);
      out_.nested(NFTA_CMP_DATA, [&] { out_.value(NFTA_DATA_VALUE, &value, sizeof value); });
    });
  }
  void between(std::uint8_t first, std::uint8_t last) {
    expression("range", [&] {
      out_.number(NFTA_RANGE_SREG, kRegister);
      out_.number(NFTA_RANGE_OP, NFT_RANGE_EQ);
      out_.nested(NFTA_RANGE_FROM_DATA, [&] { out_.value(NFTA_DATA_VALUE, &first, 1); });
      out_.nested(NFTA_RANGE_TO_DATA, [&] { out_.value(NFTA_DATA_VALUE, &last, 1); });
    });
  }
  void mask(std::uint16_t mask) {
    const std::uint16_t zero = 0;
    expression("bitwise", [&] {
      out_.number(NFTA_BITWISE_SREG, kRegister);
      out_.number(NFTA_BITWISE_DREG, kRegister);
      out_.number(NFTA_BITWISE_LEN, sizeof mask);
      out_.nested(NFTA_BITWISE_MASK, [&] { out_.value(NFTA_DATA_VALUE, &mask, sizeof mask); });
      out_.nested(NFTA_BITWISE_XOR, [&] { out_.value(NFTA_DATA_VALUE, &zero, sizeof zero); });
    });
  }
  void load(std::uint32_t header, std::uint32_t offset, std::uint32_t size, std::uint32_t to = kRegister) {
    expression("payload", [&] {
      out_.number(NFTA_PAYLOAD_DREG, to);
      place(header, offset, size);
    });
  }
  /** Writes and corrects the sum at `checksum` (none: nft_payload_csum_types) and, by `flags`, that of UDP. */
  void store(std::uint32_t header, std::uint32_t offset, std::uint32_t size, std::uint32_t from, std::uint32_t type,
             std::uint32_t checksum, std::uint32_t flags) {
    expression("payload", [&] {
      out_.number(NFTA_PAYLOAD_SREG, from);
      place(header, offset, size);
      out_.number(NFTA_PAYLOAD_CSUM_TYPE, type);
      out_.number(NFTA_PAYLOAD_CSUM_OFFSET, checksum);
      out_.number(NFTA_PAYLOAD_CSUM_FLAGS, flags);
    });
  }
  void lookup(const char* map, std::uint32_t key, std::uint32_t answer) {
    expression("lookup", [&] {
      out_.text(NFTA_LOOKUP_SET, map);
      out_.number(NFTA_LOOKUP_SREG, key);
      out_.number(NFTA_LOOKUP_DREG, answer);
    });
  }
  /** To the next hop: its link address is resolved, the hop limit counts down; at its end the datagram is dropped. */
  void forward(std::uint32_t address, std::uint32_t device, std::uint32_t family) {
    expression("fwd", [&] {
      out_.number(kFwdDevice, device);
      out_.number(kFwdAddress, address);
      out_.number(kFwdFamily, family);
    });
  }

 private:
  template <typename Body>
  void expression(const char* name, Body body) {
    out_.nested(NFTA_LIST_ELEM, [&] {
      out_.text(NFTA_EXPR_NAME, name);
      out_.nested(NFTA_EXPR_DATA, body);
    });
  }
  void place(std::uint32_t header, std::uint32_t offset, std::uint32_t size) {
    out_.number(NFTA_PAYLOAD_BASE, header);
    out_.number(NFTA_PAYLOAD_OFFSET, offset);
    out_.number(NFTA_PAYLOAD_LEN, size);
  }

  Message& out_;
};

/** Where IPv4 and IPv6 differ. */
struct Version {
  std::uint16_t protocol;
  std::uint32_t family;
  const char* map;
  std::uint32_t addressesAt;  // the source's offset in the header; the destination's follows it
  std::uint32_t words;        // of an address
};
constexpr Version kIpv4{ETH_P_IP, NFPROTO_IPV4, "to4", 12, 1};
constexpr Version kIpv6{ETH_P_IPV6, NFPROTO_IPV6, "to6", 8, 4};

void forwardDatagrams(Rule rule, const Version& ip) {
  const bool v4 = ip.family == NFPROTO_IPV4;
  const std::uint32_t octets = 4 * ip.words;
  // What this host only overhears, another one forwards.
  rule.meta(NFT_META_PKTTYPE, kRegister);
  rule.compare(NFT_CMP_EQ, std::uint8_t{PACKET_HOST});
  rule.meta(NFT_META_PROTOCOL, kRegister);
  rule.compare(NFT_CMP_EQ, htons(ip.protocol));
  if (v4) {
    rule.meta(NFT_META_L4PROTO, kRegister);
    rule.compare(NFT_CMP_EQ, std::uint8_t{IPPROTO_UDP});
    rule.load(kNetwork, 6, 2);  // a fragment has no ports, or a checksum over more than itself
    rule.mask(htons(0x3fff));
    rule.compare(NFT_CMP_EQ, std::uint16_t{0});
  } else {
    rule.load(kNetwork, 6, 1);  // no extension header, so no fragment either
    rule.compare(NFT_CMP_EQ, std::uint8_t{IPPROTO_UDP});
  }
  rule.load(kTransport, kUdpPayload, 1);
  rule.between(kDtlsFirst, kDtlsLast);
  rule.load(kTransport, kUdpChecksum, 2);  // 0 says that there is none (RFC 768): nothing to correct
  rule.compare(NFT_CMP_NEQ, std::uint16_t{0});

  const std::uint32_t hop = kRegister;
  const std::uint32_t device = hop + ip.words;
  const std::uint32_t ports = device + 1;
  const std::uint32_t addresses = ports + 1;
  rule.meta(NFT_META_IIF, device);
  rule.load(kTransport, kUdpPorts, 2, ports);
  rule.load(kTransport, kUdpPorts + 2, 2, ports + 1);
  rule.load(kNetwork, ip.addressesAt, octets, ports + 2);
  rule.load(kNetwork, ip.addressesAt + octets, octets, ports + 2 + ip.words);
  rule.lookup(ip.map, device, hop);
  rule.store(kNetwork, ip.addressesAt, 2 * octets, addresses, v4 ? NFT_PAYLOAD_CSUM_INET : NFT_PAYLOAD_CSUM_NONE,
             v4 ? 10 : 0, NFT_PAYLOAD_L4CSUM_PSEUDOHDR);
  rule.store(kTransport, kUdpPorts, 4, ports, NFT_PAYLOAD_CSUM_INET, kUdpChecksum, 0);
  rule.forward(hop, device, ip.family);
}

/** One transaction: both rules, or none. */
std::vector<std::uint8_t> transaction(const std::string& table, const std::string& chain) {
  constexpr std::uint16_t kNewRule = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE;
  constexpr std::uint16_t kAppend = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK;
  Message out;
  out.message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, [] {});
  for (const Version& ip : {kIpv4, kIpv6}) {
    out.message(kNewRule, kAppend, NFPROTO_NETDEV, 0, [&] {
      out.text(NFTA_RULE_TABLE, table);
      out.text(NFTA_RULE_CHAIN, chain);
      out.nested(NFTA_RULE_EXPRESSIONS, [&] { forwardDatagrams(Rule(out), ip); });
    });
  }
  out.message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, [] {});
  return out.bytes();
}

/** 0, or the errno of the first refusal. Both rules are acknowledged, or the whole transaction is refused once. */
int answer(int descriptor) {
  int acknowledged = 0;
  while (acknowledged < 2) {
    alignas(nlmsghdr) std::array<char, 16'384> in{};
    ssize_t left = recv(descriptor, in.data(), in.size(), 0);
    if (left < 0) return errno;
    for (auto* header = reinterpret_cast<nlmsghdr*>(in.data()); NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
      if (error->error != 0) return -error->error;
      ++acknowledged;
    }
  }
  return 0;
}

int fail(const char* what, int error) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(error));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("imsdc-nft-rule TABLE CHAIN\n", stderr);
    return 64;
  }
  const imsdc::UniqueFd descriptor(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!descriptor.valid()) return fail("netlink", errno);
  const std::vector<std::uint8_t> request = transaction(argv[1], argv[2]);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(descriptor.get(), request.data(), request.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0)
    return fail("nftables takes no rules", errno);
  const int error = answer(descriptor.get());
  return error == 0 ? 0 : fail("nftables refuses to forward between devices", error);
}
