// What the worker relies on in usrsctp, proved without a network: two endpoints, virtual time, hostile weather.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>

#include "../src/crc32c.h"
#include "check.h"
#include "sctp_pair.h"

namespace imsdc::test {
namespace {

constexpr std::uint32_t kBinary = static_cast<std::uint32_t>(Ppid::binary);
constexpr std::uint32_t kText = static_cast<std::uint32_t>(Ppid::text);
const Weather kStorm{.loss = 0.05, .duplicate = 0.02, .reorder = 0.05, .delayMs = 20};

/** Sends all of it, waiting for room. */
bool sendAll(SctpPair& pair, Peer& from, std::uint16_t streamId, const std::vector<std::uint8_t>& data,
             const SctpDelivery& delivery = {}) {
  return pair.run([&] { return from.endpoint->send(streamId, kBinary, data, delivery) == SctpSend::accepted; });
}

TEST(checksumMatchesTheVectorOfRfc3720) {
  // RFC 3720 B.4: 32 bytes of zeros give 8a9136aa; here as a packet whose checksum field is zero anyway.
  const std::vector<std::uint8_t> zeros(32, 0);
  CHECK(sctpChecksum(zeros) == 0x8a9136aa);
}

TEST(bothSidesConnectAndAgreeOnStreams) {
  SctpOptions few;
  few.streams = 112;
  SctpOptions many;
  many.streams = 1024;
  many.localPort = 6000;
  few.remotePort = 6000;
  many.remotePort = 5000;
  SctpPair pair(few, many, {}, 1);
  REQUIRE(pair.connect());
  CHECK(pair.a.connected->outboundStreams == 112);
  CHECK(pair.b.connected->outboundStreams == 112);
}

TEST(textAndBinaryKeepKindOrderAndBytes) {
  SctpPair pair;
  REQUIRE(pair.connect());
  const auto first = pattern(5, 1);
  const auto second = pattern(70'000, 2);
  CHECK(pair.a.endpoint->send(0, kText, first, {}) == SctpSend::accepted);
  CHECK(pair.a.endpoint->send(0, kBinary, second, {}) == SctpSend::accepted);
  REQUIRE(pair.run([&] { return pair.b.received.size() == 2; }));
  CHECK(pair.b.received[0].ppid == kText && pair.b.received[0].data == first);
  CHECK(pair.b.received[1].ppid == kBinary && pair.b.received[1].data == second);
  CHECK(pair.a.largestPacket <= SctpOptions{}.packetBytes);
  CHECK(pair.a.largestPacket > SctpOptions{}.packetBytes - 64);
}

TEST(everySizeUpTo262144SurvivesLossReorderingAndDuplication) {
  SctpPair pair({}, kStorm, 7);
  REQUIRE(pair.connect());
  std::uint64_t expected = 0xcbf29ce484222325;
  std::size_t count = 0;
  for (const std::uint32_t size : {1U, 3U, 64U, 1023U, 1131U, 1132U, 1133U, 16'384U, 65'535U, 65'536U, 262'143U, 262'144U}) {
    const auto data = pattern(size, size);
    expected = fnv(data, expected);
    REQUIRE(sendAll(pair, pair.a, 10, data));
    ++count;
  }
  REQUIRE(pair.run([&] { return pair.b.receivedMessages == count; }, 600'000));
  CHECK(pair.b.hash(10) == expected);
}

TEST(megabytesOverSeveralStreamsSurviveTheStorm) {
  SctpPair pair({}, kStorm, 11);
  REQUIRE(pair.connect());
  pair.b.keepData = false;
  std::map<std::uint16_t, std::uint64_t> expected;
  constexpr int kMessages = 200;
  for (int index = 0; index < kMessages; ++index) {
    const auto streamId = static_cast<std::uint16_t>(index % 3 * 10);
    const auto data = pattern(10'000, static_cast<std::uint32_t>(index));
    auto [entry, fresh] = expected.try_emplace(streamId, 0xcbf29ce484222325);
    entry->second = fnv(data, entry->second);
    REQUIRE(sendAll(pair, pair.a, streamId, data));
  }
  REQUIRE(pair.run([&] { return pair.b.receivedMessages == kMessages; }, 600'000));
  for (const auto& [streamId, hash] : expected) CHECK(pair.b.hash(streamId) == hash);
  CHECK(pair.a.endpoint->stats().retransmittedChunks > 10);
  CHECK(pair.b.endpoint->stats().retransmittedChunks == 0);
}

TEST(aReaderThatStopsClosesTheWindowAndLosesNothing) {
  SctpPair pair;
  REQUIRE(pair.connect());
  pair.b.reading = false;
  pair.b.keepData = false;
  std::uint64_t accepted = 0;
  const auto data = pattern(1000, 3);
  pair.run(
      [&] {
        while (pair.a.endpoint->send(0, kBinary, data, {}) == SctpSend::accepted) ++accepted;
        return false;
      },
      30'000);
  const std::uint64_t bound = SctpOptions{}.sendBufferBytes + SctpOptions{}.receiveBufferBytes;
  CHECK(accepted > 0 && accepted * data.size() <= bound + data.size());
  CHECK(pair.a.lost.empty());
  pair.b.reading = true;
  REQUIRE(pair.run([&] { return pair.b.receivedMessages == accepted; }));
}

TEST(aWindowClosedForTwoMinutesDoesNotEndTheAssociation) {
  SctpPair pair;
  REQUIRE(pair.connect());
  pair.b.reading = false;
  const auto data = pattern(60'000, 3);
  while (pair.a.endpoint->send(0, kBinary, data, {}) == SctpSend::accepted) pair.settle();
  pair.run([] { return false; }, 120'000);
  pair.b.reading = true;
  CHECK(pair.a.lost.empty());
  REQUIRE(pair.run([&] { return pair.b.receivedMessages > 0 && pair.a.endpoint->stats().unacknowledgedChunks == 0; }));
}

TEST(unreliableMessagesAreAbandonedInsteadOfBlocking) {
  SctpPair pair({}, {.delayMs = 20}, 3);
  REQUIRE(pair.connect());
  pair.weather.loss = 1;
  const auto lostData = pattern(500, 1);
  const SctpDelivery noRetransmission{.ordered = false, .hasMaxRetransmissions = true, .limit = 0};
  const SctpDelivery shortLife{.ordered = true, .hasMaxTimeMs = true, .limit = 1};
  CHECK(pair.a.endpoint->send(10, kBinary, lostData, noRetransmission) == SctpSend::accepted);
  CHECK(pair.a.endpoint->send(11, kBinary, lostData, noRetransmission) == SctpSend::accepted);
  CHECK(pair.a.endpoint->send(12, kBinary, lostData, shortLife) == SctpSend::accepted);
  pair.run([] { return false; }, 100);
  pair.weather.loss = 0;
  const auto kept = pattern(500, 2);
  REQUIRE(pair.run([&] { return pair.a.endpoint->send(10, kBinary, kept, {}) == SctpSend::accepted; }));
  REQUIRE(pair.run([&] { return !pair.b.received.empty(); }));
  CHECK(std::any_of(pair.b.received.begin(), pair.b.received.end(),
                    [&](const Received& one) { return one.data == kept; }));
  CHECK(pair.run([&] { return pair.a.endpoint->stats().abandonedMessages >= 2; }));
}

TEST(aStreamResetIsSeenByThePeerAndTheStreamStartsOver) {
  SctpPair pair;
  REQUIRE(pair.connect());
  const auto data = pattern(100, 1);
  CHECK(pair.a.endpoint->send(10, kBinary, data, {}) == SctpSend::accepted);
  REQUIRE(pair.run([&] { return pair.b.received.size() == 1; }));
  REQUIRE(pair.a.endpoint->resetStream(10));
  REQUIRE(pair.run([&] { return !pair.b.peerResets.empty() && !pair.a.resetsDone.empty(); }));
  CHECK(pair.b.peerResets == std::vector<std::uint16_t>{10});
  CHECK(pair.a.endpoint->send(10, kBinary, data, {}) == SctpSend::accepted);
  REQUIRE(pair.run([&] { return pair.b.received.size() == 2; }));
}

TEST(idsUpTo65534Work) {
  SctpOptions wide;
  wide.streams = 65'535;
  SctpPair pair(wide);
  REQUIRE(pair.connect());
  const auto data = pattern(100, 1);
  for (const std::uint16_t streamId : std::initializer_list<std::uint16_t>{1000, 1024, 38'754, 65'534}) {
    CHECK(pair.a.endpoint->send(streamId, kBinary, data, {}) == SctpSend::accepted);
  }
  REQUIRE(pair.run([&] { return pair.b.received.size() == 4; }));
  CHECK(pair.b.received[3].streamId == 65'534);
  CHECK(pair.a.endpoint->send(65'535, kBinary, data, {}) == SctpSend::refused);
}

TEST(anOversizeMessageIsReportedAndTheNextOneStillArrives) {
  SctpPair pair;
  REQUIRE(pair.connect());
  pair.b.maxMessageBytes = 1000;
  CHECK(pair.a.endpoint->send(0, kBinary, pattern(5000, 1), {}) == SctpSend::accepted);
  const auto small = pattern(1000, 2);
  CHECK(pair.a.endpoint->send(0, kBinary, small, {}) == SctpSend::accepted);
  REQUIRE(pair.run([&] { return pair.b.received.size() == 1; }));
  CHECK(pair.b.oversize == std::vector<std::uint16_t>{0});
  CHECK(pair.b.received[0].data == small);
}

TEST(garbageIsDroppedAndCounted) {
  SctpPair pair;
  REQUIRE(pair.connect());
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    auto garbage = pattern(seed % 300, seed);
    pair.a.endpoint->receive(garbage);
    if (garbage.size() >= 12) {  // the right ports, so that it gets into the parser of the chunks
      garbage.resize(garbage.size() / 4 * 4);
      const std::vector<std::uint8_t> ports{0x13, 0x88, 0x13, 0x88};
      std::copy(ports.begin(), ports.end(), garbage.begin());
      pair.a.endpoint->receive(garbage);
    }
  }
  CHECK(pair.a.endpoint->droppedPackets() > 1000);
  const auto data = pattern(100, 1);
  CHECK(pair.b.endpoint->send(0, kBinary, data, {}) == SctpSend::accepted);
  CHECK(pair.run([&] { return pair.a.receivedMessages == 1; }));
}

TEST(theStreamOfHigherPriorityGoesFirst) {
  SctpPair pair({}, {.delayMs = 20}, 5);
  REQUIRE(pair.connect());
  pair.a.endpoint->setPriority(10, 1000);
  pair.a.endpoint->setPriority(20, 1);
  for (int index = 0; index < 100; ++index) {
    CHECK(pair.a.endpoint->send(10, kBinary, pattern(1000, 1), {}) == SctpSend::accepted);
  }
  for (int index = 0; index < 100; ++index) {
    CHECK(pair.a.endpoint->send(20, kBinary, pattern(1000, 2), {}) == SctpSend::accepted);
  }
  REQUIRE(pair.run([&] { return pair.b.received.size() == 200; }));
  const auto positionOf = [&](std::uint16_t streamId) {
    std::size_t last = 0;
    for (std::size_t index = 0; index < pair.b.received.size(); ++index) {
      if (pair.b.received[index].streamId == streamId) last = index;
    }
    return last;
  };
  CHECK(positionOf(20) < positionOf(10));
}

// conformance: R28 — an SCTP heartbeat every 25 s on an association that is idle, so that pinholes stay open
TEST(anIdleAssociationSendsHeartbeatsEvery25Seconds) {
  SctpPair pair;
  REQUIRE(pair.connect());
  constexpr std::size_t kFirstChunk = 12;
  constexpr std::uint8_t kHeartbeat = 4;
  constexpr std::uint32_t kStepMs = 10;
  std::vector<std::uint32_t> sentAtMs;
  for (std::uint32_t now = 0; now < 180'000; now += kStepMs) {
    SctpStack::tick(kStepMs);
    for (const auto& packet : pair.a.outbox) {
      if (packet.size() > kFirstChunk && packet[kFirstChunk] == kHeartbeat) sentAtMs.push_back(now);
    }
    pair.settle();
  }
  // RFC 9260 8.3: the interval and the RTO, which varies by half.
  REQUIRE(sentAtMs.size() >= 6);
  for (std::size_t index = 1; index < sentAtMs.size(); ++index) {
    CHECK(sentAtMs[index] - sentAtMs[index - 1] >= 25'000 && sentAtMs[index] - sentAtMs[index - 1] <= 30'000);
  }
}

TEST(aPeerThatFallsSilentIsReportedLost) {
  SctpPair pair({}, {.delayMs = 5}, 3);
  REQUIRE(pair.connect());
  pair.weather.loss = 1;
  CHECK(pair.a.endpoint->send(0, kBinary, pattern(100, 1), {}) == SctpSend::accepted);
  CHECK(pair.run([&] { return !pair.a.lost.empty(); }, 300'000));
}

TEST(anAbortedPeerIsReportedLostAtOnce) {
  SctpPair pair;
  REQUIRE(pair.connect());
  pair.a.endpoint.reset();
  for (auto& packet : pair.a.outbox) pair.b.endpoint->receive(packet);
  pair.b.drain();
  CHECK(!pair.b.lost.empty());
}

/** Bytes in use according to the allocator; under AddressSanitizer its own leak check stands in. */
std::size_t bytesInUse() { return mallinfo2().uordblks; }

TEST(tenThousandOpenResetCloseCyclesLeakNothing) {
  constexpr int kCycles = 10'000;
  std::size_t baseline = 0;
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    const Weather weather = cycle % 10 == 0 ? kStorm : Weather{};
    SctpPair pair({}, weather, static_cast<std::uint32_t>(cycle));
    REQUIRE(pair.connect());
    const auto data = pattern(static_cast<std::size_t>(cycle % 3000 + 1), static_cast<std::uint32_t>(cycle));
    REQUIRE(pair.a.endpoint->send(10, kBinary, data, {}) == SctpSend::accepted);
    if (cycle % 3 != 0) REQUIRE(pair.run([&] { return pair.b.receivedMessages == 1; }));
    if (cycle % 2 == 0) (void)pair.a.endpoint->resetStream(10);
    if (cycle % 4 == 0) pair.settle();
    if (cycle % 5 == 0) pair.b.endpoint.reset();
    if (cycle == 2000) baseline = bytesInUse();
  }
  SctpStack::tick(120'000);
  CHECK(SctpStack::endpoints() == 0);
  CHECK(bytesInUse() < baseline + 2 * 1024 * 1024);
}

TEST(memoryOfAnIdleAssociationByStreams) {
  for (const std::uint16_t streams : std::initializer_list<std::uint16_t>{16, 112, 1024, 38'755}) {
    SctpOptions options;
    options.streams = streams;
    std::vector<std::unique_ptr<SctpPair>> pairs;
    const std::size_t before = bytesInUse();
    const int count = streams > 2000 ? 4 : 50;
    for (int index = 0; index < count; ++index) {
      pairs.push_back(std::make_unique<SctpPair>(options));
      REQUIRE(pairs.back()->connect());
      pairs.back()->run([] { return false; }, 1000);
    }
    const std::size_t perEndpoint = (bytesInUse() - before) / static_cast<std::size_t>(2 * count);
    std::cerr << "     " << streams << " streams: " << perEndpoint << " bytes per association\n";
    CHECK(perEndpoint < 12'000 + std::size_t{160} * streams);
  }
}

}  // namespace
}  // namespace imsdc::test
