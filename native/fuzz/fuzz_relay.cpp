// Relay framing: the input is a script of what peers and engine do to two stream tables in one worker. Whatever happens,
// nothing is lost without being counted, no pause outlives its reason, and nothing is queued beyond its bound.
#include <cstdlib>
#include <memory>

#include "../src/stream_table.h"
#include "../test/sctp_pair.h"

namespace {

using namespace imsdc;

constexpr std::uint32_t kBuffered = 4096;

class Host final : public StreamHost {
 public:
  Host() {
    for (std::uint32_t index = 0; index < 2; ++index) tables[index] = std::make_unique<StreamTable>(*this, HandleId{index + 1, 1});
  }
  ~Host() {
    // As the worker does it: out of reach first.
    for (auto& table : tables) {
      const std::unique_ptr<StreamTable> ending = std::move(table);
      ending->disconnected();
    }
  }
  StreamTable* streamsOf(HandleId id) override {
    return id.generation == 1 && id.handle >= 1 && id.handle <= 2 ? tables[id.handle - 1].get() : nullptr;
  }
  void payloadToEngine(HandleId, std::uint16_t, protocol::PayloadFromPeerKind, std::span<const std::uint8_t>) override {}
  void creditToEngine(HandleId, std::uint16_t, std::uint32_t) override {}
  void streamChanged(HandleId, std::uint16_t, bool, protocol::WorkerError, std::string_view) override {}
  void wake(HandleId) override {}
  [[nodiscard]] const MediaLimits& limits() const override { return limits_; }
  [[nodiscard]] std::uint64_t nowMs() const override { return now; }

  std::unique_ptr<StreamTable> tables[2];
  std::uint64_t now = 0;

 private:
  MediaLimits limits_{262'144, kBuffered, 1000};
};

/** Small, so that a few messages fill it. */
SctpOptions smallBuffers() {
  SctpOptions options;
  options.streams = 4;
  options.sendBufferBytes = 8192;
  options.receiveBufferBytes = 8192;
  return options;
}

/** Lets the packets of one association go on for a little while. */
void carry(test::SctpPair& pair) {
  pair.run([] { return false; }, 20);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  test::SctpPair pairs[2]{test::SctpPair(smallBuffers()), test::SctpPair(smallBuffers())};
  if (!pairs[0].connect() || !pairs[1].connect()) std::abort();
  Host host;
  for (int index = 0; index < 2; ++index) host.tables[index]->connected(*pairs[index].a.endpoint);
  const std::vector<std::uint8_t> content(3000, 'x');
  for (std::size_t at = 0; at + 4 <= size; at += 4) {
    StreamTable& table = *host.tables[data[at] & 1];
    const auto streamId = static_cast<std::uint16_t>(data[at + 1] & 3);
    const std::uint8_t extra = data[at + 2];
    switch (data[at] >> 1 & 7) {
      case 0: {
        std::vector<protocol::StreamSpec> specs;
        for (std::uint16_t id = 0; id < 4; ++id) {
          if ((extra >> id & 1) == 0) continue;
          protocol::StreamSpec spec;
          spec.streamId = id;
          spec.ordered = true;
          specs.push_back(spec);
        }
        table.configure(specs);
        break;
      }
      case 1: {
        protocol::Route route;
        route.streamId = streamId;
        route.sink = static_cast<protocol::RouteSink>(extra % 3);
        route.toHandle = extra >> 4 & 3;
        route.toGeneration = 1;
        route.toStreamId = extra >> 2 & 3;
        table.route(route);
        break;
      }
      case 2:
        // As the association does it: a paused one is not read.
        if (!table.paused()) table.onMessage({streamId, 50U + extra % 8, std::span(content).first(1 + extra * 10U)});
        break;
      case 3:
        table.grant(streamId, extra * 100U);
        break;
      case 4:
        table.fromEngine(streamId, static_cast<protocol::PayloadKind>(extra % 3), std::span(content).first(extra));
        break;
      case 5:
        table.onPeerReset({streamId});
        break;
      case 6:
        host.now += extra * 10U;
        table.onDeadline();
        break;
      case 7:
        if (extra % 8 == 0) {
          (void)table.resetByEngine(streamId);
        } else {
          test::SctpPair& pair = pairs[data[at] & 1];
          pair.b.reading = extra % 8 < 4;
          carry(pair);
          table.flush();
        }
        break;
      default:
        break;
    }
  }
  for (const auto& table : host.tables) {
    // One message beyond the high mark per stream, and what the engine may overdraw.
    if (table->queuedBytes() > 4 * (kBuffered + 3000 + 64) + size * 300) std::abort();
  }
  // A pause ends when its reader reads or its stream is reset, at the latest by the deadline (R29).
  host.now += 10'000;
  for (int round = 0; round < 4; ++round) {
    for (const auto& table : host.tables) table->onDeadline();
  }
  for (const auto& table : host.tables) {
    if (table->paused()) std::abort();
  }
  return 0;
}
