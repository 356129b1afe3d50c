// DTLS between two sessions in one process: each datagram can be lost, repeated, changed or held back.
#include "../src/dtls_session.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "../src/stack_clock.h"
#include "certificates.h"
#include "check.h"

namespace imsdc::test {
namespace {

using Datagram = std::vector<std::uint8_t>;

struct End final : DtlsOwner {
  void dtlsOutput(std::span<const std::uint8_t> datagram) override { out.emplace_back(datagram.begin(), datagram.end()); }
  void dtlsConnected() override { connected = true; }
  void dtlsContent(std::span<std::uint8_t> packet) override { content.emplace_back(packet.begin(), packet.end()); }
  void dtlsEnded(DtlsEnd end, const std::string& text) override {
    ended = end;
    detail = text;
  }
  std::vector<Datagram> out;
  std::vector<Datagram> content;
  bool connected = false;
  std::optional<DtlsEnd> ended;
  std::string detail;
  FingerprintSet expected;
  std::unique_ptr<DtlsSession> session;
};

struct Pair {
  explicit Pair(const PemCertificate& active = makeCertificate(), const PemCertificate& passive = makeCertificate())
      : activeContext(makeContext(active)), passiveContext(makeContext(passive)) {
    fingerprintsKnown = client.expected.add(passiveContext->fingerprint()) &&
                        server.expected.add(activeContext->fingerprint());
  }
  void create() {
    client.session = std::make_unique<DtlsSession>(*activeContext, client, DtlsRole::active, client.expected);
    server.session = std::make_unique<DtlsSession>(*passiveContext, server, DtlsRole::passive, server.expected);
  }
  /** Carries what waits; datagram number `lose` (from 0, both directions) is lost. */
  void carry() {
    while (!client.out.empty() || !server.out.empty()) {
      End& from = client.out.empty() ? server : client;
      End& to = client.out.empty() ? client : server;
      Datagram datagram = std::move(from.out.front());
      from.out.erase(from.out.begin());
      if (carried++ == lose) continue;
      to.session->receive(datagram);
    }
  }
  void timers() {
    advanceStackClock(250);
    for (End* end : {&client, &server}) {
      if (end->session->timeoutMs().value_or(1) == 0) end->session->onTimeout();
    }
  }
  bool connect() {
    create();
    client.session->start();
    for (int round = 0; round < 40 && !(client.connected && server.connected); ++round) {
      carry();
      timers();
    }
    carry();
    return client.connected && server.connected;
  }

  std::unique_ptr<DtlsContext> activeContext;
  std::unique_ptr<DtlsContext> passiveContext;
  bool fingerprintsKnown = false;
  End client;
  End server;
  std::size_t carried = 0;
  std::size_t lose = SIZE_MAX;
};

bool exchange(Pair& pair) {
  const Datagram hello{1, 2, 3};
  const Datagram world(1100, 7);
  if (!pair.client.session->send(hello) || !pair.server.session->send(world)) return false;
  pair.carry();
  return !pair.server.content.empty() && pair.server.content.back() == hello && !pair.client.content.empty() &&
         pair.client.content.back() == world;
}

TEST(handshakeWithEveryKindOfCertificate) {
  const auto works = [](const PemCertificate& active, const PemCertificate& passive) {
    Pair pair(active, passive);
    return pair.fingerprintsKnown && pair.connect() && exchange(pair);
  };
  for (const char* kind : {"P-256", "P-384", "RSA", "RSA-PSS", "ED25519", "ED448"}) {
    CHECK(works(makeCertificate(kind), makeCertificate()));
  }
  // With the others OpenSSL is no server in DTLS 1.2.
  for (const char* kind : {"P-384", "RSA"}) CHECK(works(makeCertificate(), makeCertificate(kind)));
}

TEST(aCertificateOnAnotherCurveIsRefused) {
  Pair pair(makeCertificate("P-521"), makeCertificate());
  CHECK(!pair.connect());
  CHECK(pair.server.ended == DtlsEnd::failed);
}

// conformance: ue-side 4.4 — DTLS 1.2 with ECDHE and AEAD suites, and nothing else
TEST(everyAeadSuiteAndNoOther) {
  for (const char* suite : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"}) {
    Pair pair;
    SSL_CTX_set_cipher_list(pair.activeContext->get(), suite);
    REQUIRE(pair.connect());
    CHECK(exchange(pair));
  }
  for (const char* suite : {"ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"}) {
    Pair pair;
    SSL_CTX_set_cipher_list(pair.activeContext->get(), suite);
    CHECK(!pair.connect());
    CHECK(pair.server.ended == DtlsEnd::failed);
  }
}

TEST(olderVersionsAreRefused) {
  Pair pair;
  SSL_CTX_set_min_proto_version(pair.activeContext->get(), DTLS1_VERSION);
  SSL_CTX_set_max_proto_version(pair.activeContext->get(), DTLS1_VERSION);
  SSL_CTX_set_cipher_list(pair.activeContext->get(), "ALL:@SECLEVEL=0");
  CHECK(!pair.connect());
  CHECK(!pair.server.connected);
}

TEST(aWrongCertificateEndsTheHandshakeOnEitherSide) {
  const auto stranger = makeContext();
  for (const bool onClient : {true, false}) {
    Pair pair;
    End& checking = onClient ? pair.client : pair.server;
    checking.expected = {};
    REQUIRE(checking.expected.add(stranger->fingerprint()));
    CHECK(!pair.connect());
    CHECK(!checking.connected);
    CHECK(checking.ended == DtlsEnd::fingerprintMismatch);
  }
}

// conformance: ue-side 4.4, RFC 7627 — extended master secret or nothing
TEST(aPeerWithoutExtendedMasterSecretIsRefused) {
  Pair pair;
  SSL_CTX_set_options(pair.activeContext->get(), SSL_OP_NO_EXTENDED_MASTER_SECRET);
  CHECK(!pair.connect());
  CHECK(pair.server.ended == DtlsEnd::failed);
  CHECK(pair.server.content.empty());
}

TEST(theLossOfAnyDatagramOfTheHandshakeIsRepaired) {
  Pair counted;
  REQUIRE(counted.connect());
  const std::size_t datagrams = counted.carried;
  CHECK(datagrams >= 4);
  for (std::size_t lost = 0; lost < datagrams; ++lost) {
    Pair pair;
    pair.lose = lost;
    REQUIRE(pair.connect());
    CHECK(exchange(pair));
  }
}

TEST(contentThatOvertakesTheHandshakeIsNotLost) {
  Pair pair;
  pair.create();
  pair.client.session->start();
  // Up to the client's last flight, which is held back and comes together with its first content.
  for (int step = 0; step < 20 && !pair.server.connected; ++step) {
    std::vector<Datagram> flight = std::move(pair.client.out);
    pair.client.out.clear();
    for (Datagram& datagram : flight) pair.server.session->receive(datagram);
    flight = std::move(pair.server.out);
    pair.server.out.clear();
    for (Datagram& datagram : flight) pair.client.session->receive(datagram);
  }
  REQUIRE(pair.client.connected);
  CHECK(exchange(pair));
}

/** Runs until the client is done; the server's last flight has arrived, the client's content may come before its own. */
bool connectClient(Pair& pair, std::vector<Datagram>& lastFlight) {
  pair.create();
  pair.client.session->start();
  for (int step = 0; step < 20 && !pair.client.connected; ++step) {
    lastFlight = std::exchange(pair.client.out, {});
    for (Datagram datagram : lastFlight) pair.server.session->receive(datagram);
    for (Datagram& datagram : std::exchange(pair.server.out, {})) pair.client.session->receive(datagram);
  }
  return pair.client.connected;
}

TEST(contentBeforeTheLastFlightIsTakenOnceAndOnlyOnce) {
  // The server's last flight and content right behind it reach the client in the wrong order.
  Pair pair;
  pair.create();
  pair.client.session->start();
  while (!pair.server.connected) {
    for (Datagram& datagram : std::exchange(pair.server.out, {})) pair.client.session->receive(datagram);
    REQUIRE(!pair.client.out.empty());
    for (Datagram& datagram : std::exchange(pair.client.out, {})) pair.server.session->receive(datagram);
  }
  std::vector<Datagram> lastFlight = std::exchange(pair.server.out, {});
  REQUIRE(pair.server.session->send(Datagram{1, 2, 3}));
  const Datagram content = pair.server.out.front();
  pair.server.out.clear();
  Datagram early = content;
  pair.client.session->receive(early);
  CHECK(!pair.client.connected && pair.client.content.empty());
  for (Datagram& datagram : lastFlight) pair.client.session->receive(datagram);
  REQUIRE(pair.client.connected);
  CHECK(pair.client.content.size() == 1 && pair.client.content.back() == Datagram({1, 2, 3}));
  Datagram again = content;
  pair.client.session->receive(again);
  CHECK(pair.client.content.size() == 1);
}

TEST(earlyContentIsBounded) {
  Pair pair;
  pair.create();
  pair.client.session->start();
  for (std::uint8_t number = 0; number < 100; ++number) {
    Datagram forged(100, number);
    const Datagram header{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, number, 0, 87};
    std::copy(header.begin(), header.end(), forged.begin());
    pair.client.session->receive(forged);
  }
  CHECK(!pair.client.ended);
  for (int round = 0; round < 40 && !(pair.client.connected && pair.server.connected); ++round) {
    pair.carry();
    pair.timers();
  }
  REQUIRE(pair.client.connected && pair.server.connected);
  CHECK(pair.client.content.empty());
  CHECK(exchange(pair));
}

TEST(theLastFlightIsRepeatedForAFinishedThatComesAgainAndNotForEver) {
  Pair pair;
  std::vector<Datagram> finished;
  REQUIRE(connectClient(pair, finished));
  REQUIRE(pair.server.connected);
  pair.server.out.clear();
  std::size_t repeats = 0;
  for (int count = 0; count < 100; ++count) {
    for (Datagram datagram : finished) pair.server.session->receive(datagram);
    repeats += std::exchange(pair.server.out, {}).size();
  }
  CHECK(repeats >= 1 && repeats <= 16);
  CHECK(!pair.server.ended);
  CHECK(exchange(pair));
  // Once the client has shown that it is done, nothing is repeated at all.
  for (Datagram datagram : finished) pair.server.session->receive(datagram);
  CHECK(pair.server.out.empty());
}

TEST(repeatedRecordsAreDroppedAndChangedOnesToo) {
  Pair pair;
  REQUIRE(pair.connect());
  REQUIRE(pair.client.session->send(Datagram{1, 2, 3}));
  const Datagram sent = pair.client.out.front();
  pair.client.out.clear();
  for (std::size_t at = 0; at < sent.size(); ++at) {
    Datagram changed = sent;
    changed[at] ^= 0x40;
    pair.server.session->receive(changed);
  }
  CHECK(pair.server.content.empty());
  Datagram first = sent;
  pair.server.session->receive(first);
  CHECK(pair.server.content.size() == 1);
  Datagram again = sent;
  pair.server.session->receive(again);
  CHECK(pair.server.content.size() == 1);
  CHECK(!pair.server.ended);
}

TEST(anUnprotectedAlertDoesNotEndAConnection) {
  Pair pair;
  REQUIRE(pair.connect());
  Datagram alert{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40};
  pair.server.session->receive(alert);
  CHECK(!pair.server.ended);
  CHECK(exchange(pair));
}

TEST(closeNotifyEndsThePeer) {
  Pair pair;
  REQUIRE(pair.connect());
  pair.client.session->close();
  pair.carry();
  CHECK(pair.server.ended == DtlsEnd::closedByPeer);
  CHECK(!pair.client.session->send(Datagram{1}));
}

TEST(everyKeyLogLineIsOfTheNssFormat) {
  Pair pair;
  std::vector<std::string> lines;
  pair.activeContext->onKeyLog = [&](std::string_view line) { lines.emplace_back(line); };
  REQUIRE(pair.connect());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with("CLIENT_RANDOM "));
}

// conformance: R5 — ClientHello at once, then at 0.25, 0.5, 1, 2 s, then every 4 s
TEST(retransmissionsFollowTheScheduleOfR5) {
  Pair pair;
  pair.create();
  pair.client.session->start();
  std::vector<std::uint32_t> sentAtMs;
  pair.client.out.clear();
  for (std::uint32_t now = 0; now <= 20'000; now += 10) {
    if (pair.client.session->timeoutMs().value_or(1) == 0) pair.client.session->onTimeout();
    if (!pair.client.out.empty()) sentAtMs.push_back(now);
    pair.client.out.clear();
    advanceStackClock(10);
  }
  REQUIRE(sentAtMs.size() >= 6);
  const std::vector<std::uint32_t> expected{250, 500, 1000, 2000, 6000, 10'000};
  for (std::size_t index = 0; index < expected.size(); ++index) {
    // OpenSSL takes less than 15 ms as over, each time.
    CHECK(sentAtMs[index] + 100 >= expected[index] && sentAtMs[index] <= expected[index] + 100);
  }
}

// ---- cookies

/** A ClientHello of 600 bytes, as a post-quantum key share makes it, in datagrams of at most 256. */
void makeHelloLong(Pair& pair) {
  pair.activeContext->mtuBytes = 256;
  std::vector<std::uint8_t> protocols;
  for (int count = 0; count < 2; ++count) {
    protocols.push_back(200);
    protocols.insert(protocols.end(), 200, 'p');
  }
  SSL_CTX_set_alpn_protos(pair.activeContext->get(), protocols.data(), static_cast<unsigned int>(protocols.size()));
}

std::vector<Datagram> clientHello(Pair& pair) {
  pair.create();
  pair.client.session->start();
  return std::exchange(pair.client.out, {});
}

// conformance: R30 — a ClientHello in several fragments works with cookies
TEST(aCookieProvesTheAddressWithoutMemoryForTheFirstHello) {
  for (const bool fragmented : {false, true}) {
    Pair pair;
    if (fragmented) makeHelloLong(pair);
    const CookieJar& jar = pair.passiveContext->cookies();
    const NetAddress source = *NetAddress::parse("192.0.2.1", 4000);
    const NetAddress other = *NetAddress::parse("192.0.2.2", 4000);
    std::vector<Datagram> hello = clientHello(pair);
    CHECK((hello.size() > 1) == fragmented);  // R30
    const auto head = parseClientHello(hello.front());
    REQUIRE(head && head->cookie.empty() && head->messageSequence == 0);
    CHECK(!jar.accepts(*head, source));
    Datagram verify = helloVerifyRequest(*head, jar.make(*head, source));
    pair.client.session->receive(verify);
    std::vector<Datagram> second = std::exchange(pair.client.out, {});
    REQUIRE(!second.empty());
    const auto again = parseClientHello(second.front());
    REQUIRE(again && again->messageSequence == 1);
    CHECK(jar.accepts(*again, source));
    CHECK(!jar.accepts(*again, other));
    // Only now a session is built; it takes the second hello as if it had asked for the cookie itself.
    pair.server.session->startAfterCookie();
    CHECK(pair.server.out.empty());
    for (Datagram& datagram : second) pair.server.session->receive(datagram);
    for (int round = 0; round < 20 && !pair.server.connected; ++round) {
      pair.carry();
      pair.timers();
    }
    REQUIRE(pair.client.connected && pair.server.connected);
    CHECK(exchange(pair));
  }
}

// conformance: R30 — a ClientHello in several fragments works without cookies
TEST(aHelloInFragmentsWorksWithoutCookies) {
  Pair pair;
  makeHelloLong(pair);
  REQUIRE(pair.connect());
  CHECK(exchange(pair));
}

TEST(fingerprintsFollowThePreferenceOfRfc8122) {
  const auto context = makeContext();
  const auto other = makeContext();
  X509* certificate = SSL_CTX_get0_certificate(context->get());
  FingerprintSet set;
  REQUIRE(set.add(context->fingerprint()));
  CHECK(set.matches(certificate));
  // A stronger hash in the set decides, whatever the weaker one says.
  std::string wrongSha512 = "SHA-512 00";
  for (int count = 1; count < 64; ++count) wrongSha512 += ":00";
  REQUIRE(set.add(wrongSha512));
  CHECK(!set.matches(certificate));
  FingerprintSet several;
  REQUIRE(several.add(other->fingerprint()) && several.add(context->fingerprint()));
  CHECK(several.matches(certificate));
  FingerprintSet none;
  CHECK(none.add("md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"));
  CHECK(!none.add("sha-256 00:11"));
  CHECK(!none.add("sha-256"));
  CHECK(!none.usable() && !none.matches(certificate));
}

TEST(theReplayWindowTakesEachNumberOnce) {
  ReplayWindow window;
  for (const std::uint64_t number : std::initializer_list<std::uint64_t>{0, 2, 1, 70, 69, 7}) {
    CHECK(window.fresh(number));
    window.mark(number);
    CHECK(!window.fresh(number));
  }
  CHECK(!window.fresh(6));  // too old to be known
  CHECK(window.fresh(68));
  window.mark(1'000'000);
  CHECK(!window.fresh(70));
  CHECK(window.fresh(999'999));
}

}  // namespace
}  // namespace imsdc::test
