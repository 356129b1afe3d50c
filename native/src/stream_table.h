#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sctp_endpoint.h"
#include "worker_protocol.h"

namespace imsdc {

/** A handle of the engine; the generation tells one use of the number from the next. */
struct HandleId {
  std::uint32_t handle = 0;
  std::uint32_t generation = 0;
  friend bool operator==(const HandleId&, const HandleId&) = default;
};

/** What HELLO says about buffers and sizes. */
struct MediaLimits {
  std::uint32_t maxMessageBytes = 262'144;
  std::uint32_t bufferedBytesPerStream = 1 << 20;
  std::uint32_t slowReaderLimitMs = 30'000;
};

struct Counters {
  std::uint64_t bytesReceived = 0;
  std::uint64_t bytesSent = 0;
  std::uint64_t messagesReceived = 0;
  std::uint64_t messagesSent = 0;
  std::uint64_t dropped = 0;
};

class StreamTable;

/** What streams need from the worker around them. */
class StreamHost {
 public:
  /** Of a connected or future association of this worker; null when the handle is not live. */
  virtual StreamTable* streamsOf(HandleId id) = 0;
  virtual void payloadToEngine(HandleId id, std::uint16_t streamId, protocol::PayloadFromPeerKind kind,
                               std::span<const std::uint8_t> data) = 0;
  virtual void creditToEngine(HandleId id, std::uint16_t streamId, std::uint32_t bytes) = 0;
  virtual void streamChanged(HandleId id, std::uint16_t streamId, bool open, protocol::WorkerError code,
                             std::string_view detail) = 0;
  /** The association shall run again before the turn ends: read on, or send what waits. */
  virtual void wake(HandleId id) = 0;
  [[nodiscard]] virtual const MediaLimits& limits() const = 0;
  [[nodiscard]] virtual std::uint64_t nowMs() const = 0;

 protected:
  ~StreamHost() = default;
};

/**
 * The streams of one association: where messages go, what waits for whom.
 *
 * ```
 *  peer A --SCTP--> [A.streams] --route--> [B.stream.queue] --SCTP--> peer B
 *                        |                       | above the high mark: A is not read (R29)
 *                        +--payload--> [inbox] --credit--> engine
 * ```
 *
 * A is paused as a whole, because an SCTP association has one receive window. Nothing of a reliable stream is lost
 * until `slowReaderLimitMs` is over; then the slow stream is reset.
 */
class StreamTable {
 public:
  StreamTable(StreamHost& host, HandleId self) : host_(host), self_(self) {}
  ~StreamTable();
  StreamTable(const StreamTable&) = delete;
  StreamTable& operator=(const StreamTable&) = delete;

  // From the engine.
  std::vector<protocol::StreamOutcome> configure(const std::vector<protocol::StreamSpec>& specs);
  void route(const protocol::Route& route);
  void grant(std::uint16_t streamId, std::uint32_t bytes);
  void fromEngine(std::uint16_t streamId, protocol::PayloadKind kind, std::span<const std::uint8_t> data);
  [[nodiscard]] bool resetByEngine(std::uint16_t streamId);
  void setPeerMaxMessage(std::uint32_t bytes) { peerMaxMessageBytes_ = bytes; }
  /** From START: ids at or above it cannot be used (R13). */
  void setStreamCount(std::uint16_t streams) { streamCount_ = streams; }

  // From the association.
  void connected(SctpEndpoint& endpoint);
  void disconnected();
  void onMessage(const sctp::Message& message);
  void onPeerReset(const std::vector<std::uint16_t>& streamIds);
  void onResetDone(const sctp::ResetDone& done);
  void onOversize(std::uint16_t streamId);
  /** Sends what waits, as far as SCTP takes it. */
  void flush();
  [[nodiscard]] bool paused() const { return pauses_ > 0; }
  [[nodiscard]] std::optional<std::uint64_t> deadlineMs() const;
  void onDeadline();

  enum class Relayed : std::uint8_t {
    taken,
    takenPause,  // and the sender is not to be read until `resume`
    tooLarge,    // for our peer; our stream has been reset
  };
  /** A message for the peer, from a relay. */
  Relayed relay(HandleId from, std::uint16_t fromStream, std::uint16_t toStream, std::uint32_t ppid,
                std::span<const std::uint8_t> data);
  /** Closes a stream once everything before was sent: its other half at the far end of a route has ended. */
  void endAfterQueue(std::uint16_t streamId, protocol::WorkerError code, std::string_view detail);
  void resume();
  void closeStream(std::uint16_t streamId, protocol::WorkerError code, std::string_view detail);

  [[nodiscard]] const Counters& totals() const { return totals_; }
  [[nodiscard]] std::uint64_t queuedBytes() const { return queuedBytes_; }
  [[nodiscard]] std::vector<protocol::StreamStats> stats() const;

 private:
  struct Queued {
    std::uint32_t ppid;
    std::vector<std::uint8_t> data;
    bool fromEngine;
  };
  struct Waiter {
    HandleId id;
    std::uint16_t streamId;
  };
  struct Stream {
    bool used = false;  // in the engine's set
    bool open = false;
    SctpDelivery delivery;
    std::uint16_t priority = 256;
    protocol::Route route;
    Counters counters;
    std::deque<Queued> queue;  // towards the peer
    std::size_t queuedBytes = 0;
    std::vector<Waiter> waiters;  // associations that are not read because of `queue`
    std::deque<Queued> inbox;     // towards the engine
    std::size_t inboxBytes = 0;
    bool inboxPauses = false;
    std::uint64_t pausedSinceMs = 0;
    std::int64_t engineCredit = 0;
    bool creditSeen = false;
    bool windowGiven = false;
    std::uint32_t creditOwed = 0;
    std::optional<protocol::WorkerError> endCode;  // close as soon as the queue is empty
    std::string endDetail;
  };

  void open(std::uint16_t streamId, Stream& stream);
  void applyPriorities();
  SctpSend sendNow(std::uint16_t streamId, Stream& stream, std::uint32_t ppid, std::span<const std::uint8_t> data);
  bool enqueue(std::uint16_t streamId, Stream& stream, std::uint32_t ppid, std::span<const std::uint8_t> data,
               bool fromEngine);
  bool flushStream(std::uint16_t streamId, Stream& stream);
  void onForeignMessage(const sctp::Message& message);
  void closeBothHalves(std::uint16_t streamId, protocol::WorkerError code, std::string_view detail);
  void refuseStream(std::uint16_t streamId);
  void wakeWaiters(Stream& stream);
  void toEngine(std::uint16_t streamId, Stream& stream, std::uint32_t ppid, std::span<const std::uint8_t> data);
  void drainInbox(std::uint16_t streamId, Stream& stream);
  void owe(std::uint16_t streamId, Stream& stream, std::size_t bytes);
  void giveWindow(std::uint16_t streamId, Stream& stream);
  void dropQueues(Stream& stream);
  void reset(std::uint16_t streamId);

  StreamHost& host_;
  HandleId self_;
  SctpEndpoint* endpoint_ = nullptr;
  std::uint32_t peerMaxMessageBytes_ = 65'536;
  std::uint16_t streamCount_ = 65'535;  // until START says; then until the peer has said how many it takes
  std::map<std::uint16_t, Stream> streams_;
  std::deque<std::uint16_t> blocked_;  // streams with a queue, in turn
  std::vector<std::uint16_t> pendingResets_;
  int pauses_ = 0;
  Counters totals_;
  std::uint64_t queuedBytes_ = 0;
};

}  // namespace imsdc
