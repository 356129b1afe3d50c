// What waits in a stream: towards its peer, towards the engine, until it is sent, closed or given up (R29).
#include <algorithm>

#include "ppid.h"
#include "stream_table.h"

namespace imsdc {

using protocol::RouteSink;
using protocol::WorkerError;

// ---- towards the peer

SctpSend StreamTable::sendNow(std::uint16_t streamId, Stream& stream, std::uint32_t ppid,
                              std::span<const std::uint8_t> data) {
  if (endpoint_ == nullptr) return SctpSend::wouldBlock;
  const SctpSend result = endpoint_->send(streamId, ppid, data, stream.delivery);
  if (result == SctpSend::accepted) {
    ++totals_.messagesSent;
    ++stream.counters.messagesSent;
    const std::size_t bytes = userBytes(ppid, data.size());
    totals_.bytesSent += bytes;
    stream.counters.bytesSent += bytes;
  } else if (result != SctpSend::wouldBlock) {
    ++totals_.dropped;
    ++stream.counters.dropped;
  }
  return result;
}

bool StreamTable::enqueue(std::uint16_t streamId, Stream& stream, std::uint32_t ppid,
                          std::span<const std::uint8_t> data, bool fromEngine) {
  if (stream.queue.empty() && sendNow(streamId, stream, ppid, data) != SctpSend::wouldBlock) {
    if (fromEngine) owe(streamId, stream, userBytes(ppid, data.size()));
    return true;
  }
  if (stream.queue.empty()) blocked_.push_back(streamId);
  stream.queue.push_back({ppid, {data.begin(), data.end()}, fromEngine});
  stream.queuedBytes += data.size() + protocol::kMessageCreditOverheadBytes;
  queuedBytes_ += data.size() + protocol::kMessageCreditOverheadBytes;
  return false;
}

void StreamTable::flush() {
  std::size_t turns = blocked_.size();
  while (turns-- > 0 && endpoint_ != nullptr) {
    const std::uint16_t streamId = blocked_.front();
    blocked_.pop_front();
    Stream& stream = streams_[streamId];
    if (stream.queue.empty()) continue;
    if (flushStream(streamId, stream)) continue;
    blocked_.push_back(streamId);  // the next time somebody else goes first
    return;
  }
}

/** True: the queue is empty. */
bool StreamTable::flushStream(std::uint16_t streamId, Stream& stream) {
  while (!stream.queue.empty()) {
    const Queued& front = stream.queue.front();
    if (sendNow(streamId, stream, front.ppid, front.data) == SctpSend::wouldBlock) break;
    const std::size_t bytes = front.data.size();
    if (front.fromEngine) owe(streamId, stream, userBytes(front.ppid, bytes));
    stream.queuedBytes -= bytes + protocol::kMessageCreditOverheadBytes;
    queuedBytes_ -= bytes + protocol::kMessageCreditOverheadBytes;
    stream.queue.pop_front();
  }
  if (stream.queuedBytes <= host_.limits().bufferedBytesPerStream / 2) wakeWaiters(stream);
  if (!stream.queue.empty()) return false;
  stream.queue.shrink_to_fit();
  if (stream.endCode) {
    const WorkerError code = *stream.endCode;
    const std::string detail = stream.endDetail;
    stream.endCode.reset();
    closeStream(streamId, code, detail);
  }
  return true;
}

void StreamTable::wakeWaiters(Stream& stream) {
  const std::vector<Waiter> waiters = std::move(stream.waiters);
  stream.waiters.clear();
  for (const Waiter& waiter : waiters) {
    if (StreamTable* source = host_.streamsOf(waiter.id); source != nullptr) source->resume();
  }
}

// ---- towards the engine

void StreamTable::toEngine(std::uint16_t streamId, Stream& stream, std::uint32_t ppid,
                           std::span<const std::uint8_t> data) {
  stream.inbox.push_back({ppid, {data.begin(), data.end()}, false});
  stream.inboxBytes += data.size() + protocol::kMessageCreditOverheadBytes;
  drainInbox(streamId, stream);
  if (stream.inboxPauses || stream.inboxBytes <= host_.limits().bufferedBytesPerStream) return;
  stream.inboxPauses = true;
  stream.pausedSinceMs = host_.nowMs();
  ++pauses_;
}

void StreamTable::drainInbox(std::uint16_t streamId, Stream& stream) {
  while (stream.engineCredit > 0 && !stream.inbox.empty()) {
    const Queued& front = stream.inbox.front();
    const std::size_t bytes = userBytes(front.ppid, front.data.size());
    const auto kind =
        isText(front.ppid) ? protocol::PayloadFromPeerKind::Text : protocol::PayloadFromPeerKind::Binary;
    host_.payloadToEngine(self_, streamId, kind, std::span(front.data).first(bytes));
    stream.engineCredit -= static_cast<std::int64_t>(bytes + protocol::kMessageCreditOverheadBytes);
    stream.inboxBytes -= front.data.size() + protocol::kMessageCreditOverheadBytes;
    stream.inbox.pop_front();
  }
  if (stream.inboxPauses && stream.inboxBytes <= host_.limits().bufferedBytesPerStream / 2) {
    stream.inboxPauses = false;
    resume();
  }
}

void StreamTable::giveWindow(std::uint16_t streamId, Stream& stream) {
  if (!stream.open || !stream.creditSeen || stream.windowGiven) return;
  stream.windowGiven = true;
  host_.creditToEngine(self_, streamId, host_.limits().bufferedBytesPerStream);
}

/** Credit goes back in portions of a quarter of the window, so that small messages do not cost a frame each. */
void StreamTable::owe(std::uint16_t streamId, Stream& stream, std::size_t bytes) {
  stream.creditOwed += static_cast<std::uint32_t>(bytes + protocol::kMessageCreditOverheadBytes);
  if (stream.creditOwed < host_.limits().bufferedBytesPerStream / 4) return;
  host_.creditToEngine(self_, streamId, stream.creditOwed);
  stream.creditOwed = 0;
}

// ---- closing

void StreamTable::endAfterQueue(std::uint16_t streamId, WorkerError code, std::string_view detail) {
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open) return;
  if (entry->second.queue.empty()) {
    closeStream(streamId, code, detail);
    return;
  }
  entry->second.endCode = code;
  entry->second.endDetail = detail;
}

void StreamTable::closeStream(std::uint16_t streamId, WorkerError code, std::string_view detail) {
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open) return;
  Stream& stream = entry->second;
  stream.open = false;
  dropQueues(stream);
  reset(streamId);
  if (stream.route.sink == RouteSink::Payload) {
    host_.payloadToEngine(self_, streamId, protocol::PayloadFromPeerKind::End, {});
  }
  host_.streamChanged(self_, streamId, false, code, detail);
}

void StreamTable::dropQueues(Stream& stream) {
  const std::size_t lost = stream.queue.size() + stream.inbox.size();
  totals_.dropped += lost;
  stream.counters.dropped += lost;
  queuedBytes_ -= stream.queuedBytes;
  stream.queue = {};
  stream.queuedBytes = 0;
  stream.inbox = {};
  stream.inboxBytes = 0;
  stream.engineCredit = 0;
  stream.creditSeen = false;
  stream.windowGiven = false;
  stream.creditOwed = 0;
  stream.endCode.reset();
  if (stream.inboxPauses) {
    stream.inboxPauses = false;
    resume();
  }
  wakeWaiters(stream);
}

void StreamTable::reset(std::uint16_t streamId) {
  if (endpoint_ != nullptr && !endpoint_->resetStream(streamId)) pendingResets_.push_back(streamId);
}

std::optional<std::uint64_t> StreamTable::deadlineMs() const {
  // Asked for each turn: somebody who waits for a stream of ours means that it has a queue.
  if (pauses_ == 0 && blocked_.empty()) return std::nullopt;
  std::optional<std::uint64_t> earliest;
  for (const auto& [streamId, stream] : streams_) {
    if (stream.waiters.empty() && !stream.inboxPauses) continue;
    const std::uint64_t due = stream.pausedSinceMs + host_.limits().slowReaderLimitMs;
    earliest = std::min(earliest.value_or(due), due);
  }
  return earliest;
}

void StreamTable::onDeadline() {
  const std::uint64_t now = host_.nowMs();
  std::vector<std::uint16_t> slow;
  for (const auto& [streamId, stream] : streams_) {
    const bool blocks = !stream.waiters.empty() || stream.inboxPauses;
    if (blocks && now >= stream.pausedSinceMs + host_.limits().slowReaderLimitMs) slow.push_back(streamId);
  }
  for (const std::uint16_t streamId : slow) {
    const std::vector<Waiter> waiters = streams_[streamId].waiters;
    closeStream(streamId, WorkerError::SlowReader, "its reader has blocked its sender too long");
    for (const Waiter& waiter : waiters) {
      StreamTable* source = host_.streamsOf(waiter.id);
      if (source != nullptr) source->closeStream(waiter.streamId, WorkerError::SlowReader, "the far end reads too slowly");
    }
  }
}

std::vector<protocol::StreamStats> StreamTable::stats() const {
  constexpr std::size_t kMaxRecords = 1024;
  std::vector<protocol::StreamStats> records;
  for (const auto& [streamId, stream] : streams_) {
    if (!stream.used) continue;
    if (records.size() == kMaxRecords) break;
    protocol::StreamStats record;
    record.streamId = streamId;
    record.bufferedBytes = static_cast<std::uint32_t>(stream.queuedBytes + stream.inboxBytes);
    record.bytesReceived = stream.counters.bytesReceived;
    record.bytesSent = stream.counters.bytesSent;
    record.messagesReceived = stream.counters.messagesReceived;
    record.messagesSent = stream.counters.messagesSent;
    record.dropped = stream.counters.dropped;
    records.push_back(record);
  }
  return records;
}

}  // namespace imsdc
