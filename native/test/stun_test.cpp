// RFC 8489 and the test vectors of RFC 5769 (which RFC 8489 B keeps).
#include "../src/stun.h"

#include "../src/demux.h"
#include "check.h"

namespace imsdc::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

const NetAddress kSource = *NetAddress::parse("192.0.2.1", 32'853);
// RFC 5769 2: user name and password of the short-term vectors.
const stun::Credentials kVectorCredentials{"evtj", "VOkJxbRl1RmTxUk/WvJxBt"};

/** RFC 5769 2.1, sample request: USERNAME "evtj:h6vY", ICE-CONTROLLED, MESSAGE-INTEGRITY, FINGERPRINT. */
const Bytes kVectorRequest{
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87,
    0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c,
    0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f,
    0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76,
    0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e,
    0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};

std::uint16_t typeOf(const Bytes& message) { return static_cast<std::uint16_t>(message[0] << 8 | message[1]); }

int errorOf(const Bytes& message) { return message[26] * 100 + message[27]; }  // the first attribute is ERROR-CODE

TEST(theVectorOfRfc5769IsAuthenticButOfTheWrongRole) {
  // Integrity and fingerprint hold; ICE-CONTROLLED meets a lite agent, which is always controlled.
  const auto answer = stun::answer(kVectorRequest, kSource, kVectorCredentials);
  REQUIRE(answer.has_value());
  CHECK(typeOf(answer->datagram) == 0x0111);
  CHECK(errorOf(answer->datagram) == 487);
  Bytes changed = kVectorRequest;
  changed[45] ^= 1;  // inside PRIORITY: the fingerprint no longer holds
  CHECK(!stun::answer(changed, kSource, kVectorCredentials));
}

TEST(aRequestWithoutCredentialsIsAnsweredOnALineWithoutIce) {
  const Bytes request = stun::bindingRequest("", "", false);
  const auto answer = stun::answer(request, kSource, {});
  REQUIRE(answer.has_value());
  CHECK(typeOf(answer->datagram) == 0x0101);
  CHECK(!answer->authenticated && !answer->nominated);
  // XOR-MAPPED-ADDRESS of RFC 5769 2.2: 192.0.2.1 port 32853.
  const Bytes expected{0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};
  CHECK(std::equal(expected.begin(), expected.end(), answer->datagram.begin() + 20));
}

TEST(ipv6SourcesAreMaskedWithTheTransactionId) {
  const Bytes request = stun::bindingRequest("", "", false);
  const auto answer = stun::answer(request, *NetAddress::parse("2001:db8::1", 5), {});
  REQUIRE(answer.has_value());
  CHECK(answer->datagram[25] == 2);
  CHECK(answer->datagram[28] == (0x20 ^ 0x21));
  CHECK(answer->datagram[43] == (0x01 ^ request[19]));
}

TEST(withIceTheRequestHasToBeAuthenticated) {
  const stun::Credentials credentials = stun::makeCredentials();
  CHECK(credentials.ufrag.size() >= 4 && credentials.password.size() >= 22);  // RFC 8839 5.4
  const auto bare = stun::answer(stun::bindingRequest("", "", false), kSource, credentials);
  REQUIRE(bare.has_value());
  CHECK(errorOf(bare->datagram) == 400);
  const std::string user = credentials.ufrag + ":peer";
  const auto wrong = stun::answer(stun::bindingRequest(user, "wrong password of the peer", true), kSource, credentials);
  REQUIRE(wrong.has_value());
  CHECK(errorOf(wrong->datagram) == 401);
  CHECK(!wrong->authenticated && !wrong->nominated);
  const auto stranger =
      stun::answer(stun::bindingRequest("nobody:peer", credentials.password, true), kSource, credentials);
  REQUIRE(stranger.has_value());
  CHECK(errorOf(stranger->datagram) == 401);
  const auto right = stun::answer(stun::bindingRequest(user, credentials.password, true), kSource, credentials);
  REQUIRE(right.has_value());
  CHECK(typeOf(right->datagram) == 0x0101);
  CHECK(right->authenticated && right->nominated);
  const auto check = stun::answer(stun::bindingRequest(user, credentials.password, false), kSource, credentials);
  CHECK(check && check->authenticated && !check->nominated);
}

TEST(anUnknownAttributeThatMustBeUnderstoodGets420) {
  Bytes request = stun::bindingRequest("", "", false);
  request.resize(20);  // without FINGERPRINT
  request.insert(request.end(), {0x7f, 0x01, 0x00, 0x00});
  request[3] = 4;
  const auto answer = stun::answer(request, kSource, {});
  REQUIRE(answer.has_value());
  CHECK(errorOf(answer->datagram) == 420);
}

TEST(everythingElseIsSilence) {
  CHECK(!stun::answer({}, kSource, {}));
  CHECK(!stun::answer(stun::bindingIndication(), kSource, {}));
  const Bytes request = stun::bindingRequest("a:b", "password", true);
  for (std::size_t length = 0; length < request.size(); ++length) {
    CHECK(!stun::answer(std::span(request).first(length), kSource, {}));
  }
  const auto answer = stun::answer(stun::bindingRequest("", "", false), kSource, {});
  REQUIRE(answer.has_value());
  CHECK(!stun::answer(answer->datagram, kSource, {}));  // a response
}

TEST(firstOctetsAreToldApartAsRfc7983Says) {
  for (int octet = 0; octet < 256; ++octet) {
    const Bytes datagram{static_cast<std::uint8_t>(octet)};
    const DatagramKind expected = octet <= 3                   ? DatagramKind::stun
                                  : octet >= 20 && octet <= 63 ? DatagramKind::dtls
                                                               : DatagramKind::other;
    CHECK(kindOf(datagram) == expected);
  }
  CHECK(kindOf({}) == DatagramKind::other);
}

}  // namespace
}  // namespace imsdc::test
