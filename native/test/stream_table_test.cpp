// What a peer may not send on a data channel, and what it costs: that stream, on both legs of a relay.
#include "../src/stream_table.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "check.h"
#include "sctp_pair.h"

namespace imsdc::test {
namespace {

using protocol::WorkerError;

constexpr std::uint16_t kStreams = 8;
constexpr std::uint32_t kDcep = static_cast<std::uint32_t>(Ppid::dcep);
constexpr std::uint32_t kText = static_cast<std::uint32_t>(Ppid::text);

struct Change {
  std::uint32_t handle;
  std::uint16_t streamId;
  bool open;
  WorkerError code;
};

/** Two associations of one worker, each with a raw SCTP peer; streams 0 and 1 are relayed between them. */
class Relay final : public StreamHost {
 public:
  Relay() {
    for (std::uint32_t index = 0; index < 2; ++index) {
      pairs.push_back(std::make_unique<SctpPair>(options()));
      ready = pairs[index]->connect() && ready;
      pairs[index]->a.reading = false;  // the table reads in its place
      tables.push_back(std::make_unique<StreamTable>(*this, HandleId{index + 1, 1}));
    }
    for (std::uint32_t index = 0; index < 2; ++index) {
      std::vector<protocol::StreamSpec> specs(2);
      for (std::uint16_t id = 0; id < 2; ++id) {
        specs[id].streamId = id;
        specs[id].ordered = true;
      }
      tables[index]->configure(specs);
      tables[index]->connected(*pairs[index]->a.endpoint);
      for (std::uint16_t id = 0; id < 2; ++id) {
        protocol::Route route;
        route.streamId = id;
        route.sink = protocol::RouteSink::Stream;
        route.toHandle = 2 - index;
        route.toGeneration = 1;
        route.toStreamId = id;
        tables[index]->route(route);
      }
    }
    changes.clear();
  }
  ~Relay() {
    for (auto& table : tables) table->disconnected();
  }

  bool say(std::uint16_t streamId, std::uint32_t ppid, const std::vector<std::uint8_t>& data) {
    return peer(0).endpoint->send(streamId, ppid, data, {}) == SctpSend::accepted;
  }
  /** Until nothing moves any more. */
  void settle() {
    for (int turn = 0; turn < 60; ++turn) {
      for (std::size_t index = 0; index < 2; ++index) {
        pairs[index]->run([] { return true; });
        pairs[index]->run([] { return false; }, 10);
        read(index);
      }
    }
  }
  Peer& peer(std::size_t index) { return pairs[index]->b; }
  [[nodiscard]] bool closed(std::uint32_t handle, std::uint16_t streamId, WorkerError code) const {
    for (const Change& change : changes) {
      if (change.handle == handle && change.streamId == streamId && !change.open && change.code == code) return true;
    }
    return false;
  }

  StreamTable* streamsOf(HandleId id) override { return tables[id.handle - 1].get(); }
  void payloadToEngine(HandleId, std::uint16_t, protocol::PayloadFromPeerKind, std::span<const std::uint8_t>) override {}
  void creditToEngine(HandleId, std::uint16_t, std::uint32_t) override {}
  void streamChanged(HandleId id, std::uint16_t streamId, bool open, WorkerError code, std::string_view) override {
    changes.push_back({id.handle, streamId, open, code});
  }
  void wake(HandleId) override {}
  [[nodiscard]] const MediaLimits& limits() const override { return limits_; }
  [[nodiscard]] std::uint64_t nowMs() const override { return 0; }

  std::vector<std::unique_ptr<SctpPair>> pairs;
  std::vector<std::unique_ptr<StreamTable>> tables;
  std::vector<Change> changes;
  bool ready = true;

 private:
  static SctpOptions options() {
    SctpOptions options;
    options.streams = kStreams;
    return options;
  }
  /** As the association does it. */
  void read(std::size_t index) {
    StreamTable& table = *tables[index];
    for (;;) {
      SctpEvent event = pairs[index]->a.endpoint->next(limits_.maxMessageBytes);
      if (std::holds_alternative<std::monostate>(event)) break;
      if (auto* message = std::get_if<sctp::Message>(&event)) table.onMessage(*message);
      if (auto* reset = std::get_if<sctp::PeerReset>(&event)) table.onPeerReset(reset->streamIds);
      if (auto* done = std::get_if<sctp::ResetDone>(&event)) table.onResetDone(*done);
      if (auto* over = std::get_if<sctp::Oversize>(&event)) table.onOversize(over->streamId);
    }
    table.flush();
  }

  MediaLimits limits_{.maxMessageBytes = 10'000, .bufferedBytesPerStream = 65'536, .slowReaderLimitMs = 1000};
};

bool has(const std::vector<std::uint16_t>& ids, std::uint16_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// conformance: ue-side 9, RFC 8831 6.6 — an unknown PPID resets the stream that it came on, and its other half
TEST(anUnknownPpidResetsTheStreamOnBothLegsAndNoOther) {
  for (const std::uint32_t ppid : {0U, 46U, 55U, 58U, 0xffffffffU}) {
    Relay relay;
    REQUIRE(relay.ready);
    CHECK(relay.say(0, kText, {'a'}));
    CHECK(relay.say(0, ppid, {'b'}));
    CHECK(relay.say(1, kText, {'c'}));
    relay.settle();
    CHECK(relay.closed(1, 0, WorkerError::UnsupportedMessage));
    CHECK(relay.closed(2, 0, WorkerError::UnsupportedMessage));
    CHECK(has(relay.peer(0).peerResets, 0) && has(relay.peer(1).peerResets, 0));
    REQUIRE(relay.peer(1).received.size() == 2);
    CHECK(relay.peer(1).received[0].data.front() == 'a' && relay.peer(1).received[1].data.front() == 'c');
    CHECK(relay.tables[0]->totals().dropped == 1);
  }
}

// conformance: ue-side 9 — a message above the size that we advertised resets the stream, and its other half
TEST(aMessageAboveOurLimitResetsTheStreamOnBothLegsAndNoOther) {
  Relay relay;
  REQUIRE(relay.ready);
  CHECK(relay.say(0, kText, pattern(10'000, 1)));
  CHECK(relay.say(0, kText, pattern(10'001, 2)));
  CHECK(relay.say(1, kText, {'c'}));
  relay.settle();
  CHECK(relay.closed(1, 0, WorkerError::MessageTooLarge) && relay.closed(2, 0, WorkerError::MessageTooLarge));
  REQUIRE(relay.peer(1).received.size() == 2);
  CHECK(relay.peer(1).received[0].data.size() == 10'000);
  CHECK(relay.peer(1).received[1].data.front() == 'c');
}

// conformance: ue-side 5, RFC 8832 6 — DCEP OPEN on a negotiated stream is acknowledged and changes nothing
TEST(anOpenOnAStreamOfOursIsAcknowledgedAndChangesNothing) {
  Relay relay;
  REQUIRE(relay.ready);
  CHECK(relay.say(0, kDcep, {3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(relay.say(0, kDcep, {2}));
  CHECK(relay.say(0, kText, {'a'}));
  relay.settle();
  CHECK(relay.changes.empty());
  REQUIRE(relay.peer(0).received.size() == 1);
  CHECK(relay.peer(0).received[0].ppid == kDcep && relay.peer(0).received[0].data == std::vector<std::uint8_t>{2});
  REQUIRE(relay.peer(1).received.size() == 1);
  CHECK(relay.peer(1).received[0].data.front() == 'a');
}

// conformance: ue-side 5 — DCEP OPEN on a stream that nobody negotiated: that stream is reset, the others go on
TEST(anOpenOnAnotherStreamResetsIt) {
  Relay relay;
  REQUIRE(relay.ready);
  CHECK(relay.say(5, kDcep, {3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(relay.say(0, kText, {'a'}));
  relay.settle();
  CHECK(has(relay.peer(0).peerResets, 5));
  CHECK(relay.peer(0).received.empty() && relay.changes.empty());
  CHECK(relay.peer(1).received.size() == 1);
}

TEST(dcepOfNoKnownTypeEndsItsStream) {
  Relay relay;
  REQUIRE(relay.ready);
  CHECK(relay.say(1, kDcep, {9}));
  relay.settle();
  CHECK(relay.closed(1, 1, WorkerError::UnsupportedMessage));
}

TEST(whatIsSaidOnStreamsThatAreNotOpenIsDroppedAndAllocatesNothing) {
  Relay relay;
  REQUIRE(relay.ready);
  CHECK(relay.say(6, kText, {'a'}));
  CHECK(relay.say(6, 99, {'a'}));
  relay.settle();
  CHECK(relay.changes.empty() && relay.peer(0).peerResets.empty() && relay.peer(1).received.empty());
  CHECK(relay.tables[0]->totals().dropped == 2);
  CHECK(relay.tables[0]->stats().size() == 2);
}

}  // namespace
}  // namespace imsdc::test
