#include "worker.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace imsdc {
namespace {

using protocol::FrameType;
using protocol::WorkerError;

constexpr std::size_t kMaxControlBacklog = 16 * 1024 * 1024;  // the engine is gone or hung
constexpr std::size_t kMaxTraceBacklog = 1 << 20;
constexpr std::uint64_t kBudgetPeriodMs = 1000;
constexpr std::uint64_t kTrafficMs = 500;     // after the last packet usrsctp's timers may still be short
constexpr std::uint64_t kBusyTickMs = 10;
constexpr std::uint64_t kIdleTickMs = 200;
constexpr std::uint64_t kMaxTickMs = 100;
constexpr std::uint64_t kEndpointsPerTickMs = 25;  // usrsctp walks a list of all timers at each tick: 14 % of a set-up at 50

std::uint64_t epochUs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

Worker::Worker(Loop& loop, UniqueFd control, UniqueFd payload)
    : loop_(loop),
      control_(
          loop, std::move(control), protocol::kMaxControlFrameBytes,
          [this](const Header& header, Body body) { onControl(header, body); },
          [this](const char* reason) { end(0, reason); }),
      payload_(
          loop, std::move(payload), protocol::kMaxPayloadFrameBytes,
          [this](const Header& header, Body body) { onPayload(header, body); },
          [this](const char* reason) { end(0, reason); }),
      tickedMs_(loop.nowMs()),
      budgetTimer_(loop, [this] { checkBudget(); }) {
  SctpStack::start();
  mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
  loop_.onTurnStart = [this](std::uint64_t now) { return turnStart(now); };
  loop_.onTurnEnd = [this] { turnEnd(); };
  budgetTimer_.armAfter(kBudgetPeriodMs);
}

Worker::~Worker() {
  // Associations speak to each other while they end: empty the table first.
  std::unordered_map<std::uint32_t, Entry> entries = std::move(entries_);
  entries_.clear();
  entries.clear();
  UdpSocket::flushAll();
}

void Worker::end(int code, const char* reason) {
  if (code != 0) std::fprintf(stderr, "media worker ends: %s\n", reason);
  exitCode_ = code;
  loop_.stop();
}

// ---- the turn of the loop

/** usrsctp's time follows need: with traffic every 10 ms, else rarely; coarser the more timers it has to look at. */
std::uint64_t Worker::turnStart(std::uint64_t nowMs) {
  const std::size_t endpoints = SctpStack::endpoints();
  const std::uint64_t granularity = std::clamp<std::uint64_t>(endpoints / kEndpointsPerTickMs, 1, kMaxTickMs);
  if (nowMs - tickedMs_ >= granularity) {
    SctpStack::tick(static_cast<std::uint32_t>(nowMs - tickedMs_));
    tickedMs_ = nowMs;
  }
  if (endpoints == 0) return nowMs + kBudgetPeriodMs;
  const bool traffic = nowMs - trafficMs_ < kTrafficMs;
  return tickedMs_ + std::max(traffic ? kBusyTickMs : kIdleTickMs, granularity);
}

void Worker::turnEnd() {
  while (!awake_.empty()) {
    trafficMs_ = loop_.nowMs();
    const HandleId id = awake_.front();
    awake_.pop_front();
    const auto entry = entries_.find(id.handle);
    if (entry == entries_.end() || entry->second.generation != id.generation) continue;
    entry->second.awake = false;
    if (entry->second.association != nullptr) entry->second.association->run();
  }
  UdpSocket::flushAll();
  payload_.flush();
  control_.flush();
  if (control_.waiting() > kMaxControlBacklog) end(70, "the engine does not read its control socket");
}

void Worker::wake(HandleId id) {
  const auto entry = entries_.find(id.handle);
  if (entry == entries_.end() || entry->second.generation != id.generation || entry->second.awake) return;
  entry->second.awake = true;
  awake_.push_back(id);
}

void Worker::checkBudget() {
  budget_.sample();
  budgetTimer_.armAfter(kBudgetPeriodMs);
  if (dtls_ == nullptr) return;
  const bool over = overloaded_ ? !budget_.relaxed() || entries_.size() >= maxAssociations_
                                : budget_.exceeded() || entries_.size() >= maxAssociations_;
  if (over == overloaded_) return;
  overloaded_ = over;
  if (over) malloc_trim(0);  // the next sample tells whether it was only the allocator's cache
  protocol::Overload notice;
  notice.overloaded = over;
  notice.memoryBytes = budget_.resident();
  notice.associations = static_cast<std::uint32_t>(entries_.size());
  control_.send({FrameType::Overload, 0, 0, 0}, notice);
}

// ---- frames

template <typename Request>
void Worker::request(const Header& header, Body body, void (Worker::*answer)(const Header&, const Request&)) {
  protocol::Reader reader(body);
  Request decoded;
  if (!decoded.decode(reader) || !reader.done()) {
    error(header, WorkerError::BadFrame, "the body does not fit its definition");
    return;
  }
  (this->*answer)(header, decoded);
}

void Worker::onControl(const Header& header, Body body) {
  if (dtls_ == nullptr && header.type != FrameType::Hello) {
    end(65, "the first frame was not HELLO");
    return;
  }
  switch (header.type) {
    case FrameType::Hello:
      return request(header, body, &Worker::hello);
    case FrameType::Reserve:
      return request(header, body, &Worker::reserve);
    case FrameType::Start:
      return request(header, body, &Worker::start);
    case FrameType::Update:
      return request(header, body, &Worker::update);
    case FrameType::Streams:
      return request(header, body, &Worker::streams);
    case FrameType::Route:
      return request(header, body, &Worker::route);
    case FrameType::Flow:
      return request(header, body, &Worker::flow);
    case FrameType::Release:
      return request(header, body, &Worker::release);
    case FrameType::ResetStream:
      return request(header, body, &Worker::resetStream);
    case FrameType::Stats:
      return request(header, body, &Worker::stats);
    case FrameType::Trace:
      return request(header, body, &Worker::traceOn);
    case FrameType::Drain:
      return request(header, body, &Worker::drain);
    case FrameType::Ping:
      return request(header, body, &Worker::ping);
    default:
      end(65, "a frame that does not belong on the control socket");
  }
}

void Worker::onPayload(const Header& header, Body body) {
  Entry* entry = live(header);
  Association* target = entry != nullptr ? entry->association.get() : nullptr;
  if (target == nullptr) ++lateFrames_;
  protocol::Reader reader(body);
  if (header.type == FrameType::Payload) {
    protocol::Payload payload;
    if (target != nullptr && payload.decode(reader) && reader.done()) {
      target->streams().fromEngine(payload.streamId, payload.kind, payload.data);
    }
  } else if (header.type == FrameType::Credit) {
    protocol::Credit credit;
    if (target != nullptr && credit.decode(reader) && reader.done()) {
      target->streams().grant(credit.streamId, credit.bytes);
    }
  } else {
    end(65, "a frame that does not belong on the payload socket");
  }
}

template <typename Reply>
void Worker::ok(const Header& header, const Reply& reply) {
  control_.send({FrameType::Ok, header.requestId, header.handle, header.generation}, reply);
}

void Worker::error(const Header& header, WorkerError code, std::string_view detail) {
  protocol::Error reply;
  reply.code = static_cast<std::uint16_t>(code);
  reply.detail = detail;
  control_.send({FrameType::Error, header.requestId, header.handle, header.generation}, reply);
}

Worker::Entry* Worker::live(const Header& header) {
  const auto entry = entries_.find(header.handle);
  if (entry == entries_.end() || entry->second.generation != header.generation) return nullptr;
  return &entry->second;
}

/** Answers UNKNOWN_HANDLE itself. */
Association* Worker::association(const Header& header) {
  Entry* entry = live(header);
  if (entry != nullptr && entry->association != nullptr) return entry->association.get();
  ++lateFrames_;
  error(header, WorkerError::UnknownHandle, "no such association is live");
  return nullptr;
}

bool Worker::mayTakeMore(const Header& header) {
  if (draining_) {
    error(header, WorkerError::Draining, "draining");
  } else if (entries_.contains(header.handle)) {
    error(header, WorkerError::HandleInUse, "the handle is live");
  } else if (entries_.size() >= maxAssociations_ || budget_.exceeded()) {
    error(header, WorkerError::Budget, entries_.size() >= maxAssociations_ ? "too many associations" : "out of memory budget");
  } else {
    return true;
  }
  return false;
}

// ---- requests

void Worker::hello(const Header& header, const protocol::Hello& hello) {
  if (hello.version != protocol::kVersion) {
    error(header, WorkerError::VersionUnsupported, "this worker speaks version 1");
    return end(65, "protocol version");
  }
  std::string why;
  std::unique_ptr<DtlsContext> context = DtlsContext::create(hello.certificatePem, hello.keyPem, why);
  if (context == nullptr) {
    error(header, WorkerError::BadCertificate, why);
    return end(65, "certificate or key");
  }
  context->schedule.afterMs.clear();
  for (const auto& entry : hello.dtlsRetransmissionMs) context->schedule.afterMs.push_back(entry.afterMs);
  context->schedule.repeatMs = hello.dtlsRepeatMs;
  context->mtuBytes = std::clamp<std::uint16_t>(hello.mtuBytes, 576, 1472);
  if (hello.keyLog) {
    context->onKeyLog = [this](std::string_view line) {
      protocol::KeyLog entry;
      entry.line = line;
      control_.send({FrameType::KeyLog, 0, 0, 0}, entry);
    };
  }
  dtls_ = std::move(context);
  limits_.maxMessageBytes = std::clamp<std::uint32_t>(hello.maxMessageSizeBytes, 1, protocol::kMaxMessageBytes);
  limits_.bufferedBytesPerStream = std::max<std::uint32_t>(hello.bufferedBytesPerStream, 4096);
  limits_.slowReaderLimitMs = hello.slowReaderLimitMs;
  associationTimeoutMs_ = hello.associationTimeoutMs;
  heartbeatMs_ = hello.heartbeatIntervalMs;
  maxAssociations_ = hello.maxAssociations;
  budget_.setLimit(hello.memoryBudgetBytes);
  budget_.sample();

  protocol::Welcome welcome;
  welcome.version = protocol::kVersion;
  welcome.engine = protocol::WelcomeEngine::Native;
  welcome.pid = static_cast<std::uint32_t>(getpid());
  const std::string software = std::string("imsdc-media-worker, ") + OpenSSL_version(OPENSSL_VERSION) + ", usrsctp 0.9.5";
  welcome.software = software;
  welcome.maxStreamId = 65'534;
  welcome.maxMessageSizeBytes = limits_.maxMessageBytes;
  welcome.ice = true;
  welcome.receiveBackPressure = true;
  welcome.forking = true;
  welcome.kernelDatagrams = false;
  welcome.trace = true;
  welcome.keyLog = true;
  control_.send({FrameType::Welcome, header.requestId, 0, 0}, welcome);
}

void Worker::reserve(const Header& header, const protocol::Reserve& request) {
  if (!mayTakeMore(header)) return;
  std::shared_ptr<MediaPort> port;
  if (request.sharedHandle != 0) {
    Entry* shared = live({FrameType::Reserve, 0, request.sharedHandle, request.sharedGeneration});
    if (shared == nullptr || shared->association == nullptr) {
      return error(header, WorkerError::UnknownHandle, "the shared handle is not live");
    }
    port = shared->association->port();
  } else {
    const auto local = NetAddress::parse(request.bindAddress, request.port);
    if (!local) return error(header, WorkerError::PortUnavailable, "not an IPv4 or IPv6 literal");
    port = MediaPort::open(loop_, *local, request.ice);
    if (port == nullptr) return error(header, WorkerError::PortUnavailable, std::strerror(errno));
  }
  const HandleId id{header.handle, header.generation};
  Entry& entry = entries_[header.handle];
  entry.generation = header.generation;
  entry.association = std::make_unique<Association>(*this, id, port);
  protocol::ReserveReply reply;
  const std::string host = port->local().host();
  reply.address = host;
  reply.port = port->local().port();
  reply.sctpPort = Association::kSctpPort;
  reply.fingerprint = dtls_->fingerprint();
  reply.iceUfrag = port->credentials().ufrag;
  reply.icePwd = port->credentials().password;
  ok(header, reply);
}

void Worker::start(const Header& header, const protocol::Start& request) {
  Association* target = association(header);
  if (target == nullptr) return;
  if (target->state() != AssociationState::reserved) return error(header, WorkerError::WrongState, "started already");
  RemoteEnd remote;
  const auto address = NetAddress::parse(request.remoteAddress, request.remotePort);
  if (!address || address->family() != target->port()->local().family() || request.streams == 0 ||
      request.remoteSctpPort == 0) {
    return error(header, WorkerError::BadRemote, "address, SCTP port or number of streams");
  }
  for (const auto& fingerprint : request.fingerprints) {
    if (!remote.fingerprints.add(fingerprint.value)) {
      // An unknown hash is skipped by RFC 8122 5; a malformed digest is an error only when nothing else is usable.
      continue;
    }
  }
  if (!remote.fingerprints.usable()) return error(header, WorkerError::BadRemote, "no usable fingerprint");
  const std::uint64_t bytes = MemoryBudget::forStreams(request.streams);
  if (!budget_.allows(bytes)) return error(header, WorkerError::Budget, "out of memory budget");
  budget_.promise(bytes);
  remote.address = *address;
  remote.sctpPort = request.remoteSctpPort;
  remote.role = request.role == protocol::StartRole::Active ? DtlsRole::active : DtlsRole::passive;
  remote.streams = request.streams;
  remote.ice = request.ice;
  remote.natLatch = request.natLatch;
  remote.pinhole = request.pinhole;
  ok(header, protocol::StartReply{});
  target->start(std::move(remote), request.maxMessageSizeBytes);
}

void Worker::update(const Header& header, const protocol::Update& request) {
  Association* target = association(header);
  if (target == nullptr) return;
  const auto address = NetAddress::parse(request.remoteAddress, request.remotePort);
  if (!address || address->family() != target->port()->local().family()) {
    return error(header, WorkerError::BadRemote, "address");
  }
  target->update(*address, request.maxMessageSizeBytes);
  ok(header, protocol::UpdateReply{});
}

void Worker::streams(const Header& header, const protocol::Streams& request) {
  Association* target = association(header);
  if (target == nullptr) return;
  if (budget_.exceeded()) return error(header, WorkerError::Budget, "out of memory budget");
  protocol::StreamsReply reply;
  reply.outcomes = target->streams().configure(request.streams);
  ok(header, reply);
}

void Worker::route(const Header& header, const protocol::Route& request) {
  Association* target = association(header);
  if (target == nullptr) return;
  if (request.sink == protocol::RouteSink::Stream &&
      streamsOf({request.toHandle, request.toGeneration}) == nullptr) {
    return error(header, WorkerError::UnknownHandle, "the far end of the route is not live");
  }
  target->streams().route(request);
  ok(header, protocol::RouteReply{});
}

void Worker::resetStream(const Header& header, const protocol::ResetStream& request) {
  Association* target = association(header);
  if (target == nullptr) return;
  if (!target->streams().resetByEngine(request.streamId)) {
    return error(header, WorkerError::StreamUnknown, "the stream is not open");
  }
  ok(header, protocol::ResetStreamReply{});
}

void Worker::release(const Header& header, const protocol::Release&) {
  protocol::ReleaseReply reply;
  if (Entry* entry = live(header); entry != nullptr) {
    protocol::AssociationStats final = entry->association != nullptr
                                           ? entry->association->stats()
                                           : flowStats({header.handle, header.generation}, *entry->flow);
    reply.bytesReceived = final.bytesReceived;
    reply.bytesSent = final.bytesSent;
    reply.messagesReceived = final.messagesReceived;
    reply.messagesSent = final.messagesSent;
    reply.dropped = final.dropped;
    // Out of the table first: what ends now looks up others there, but nobody finds it any more.
    Entry ending = std::move(*entry);
    entries_.erase(header.handle);
  }
  ok(header, reply);
}

void Worker::flow(const Header& header, const protocol::Flow& request) {
  if (request.natLatch) return error(header, WorkerError::Unsupported, "latching of a flow");
  if (request.path == protocol::FlowPath::Kernel) {
    return error(header, WorkerError::KernelPathUnavailable, "this worker has no privileges");
  }
  if (request.sides.size() != 2) return error(header, WorkerError::BadFrame, "a flow has two sides");
  if (Entry* entry = live(header); entry != nullptr && entry->flow != nullptr) {
    return updateFlow(header, request, *entry->flow);
  }
  if (!mayTakeMore(header)) return;
  const auto a = NetAddress::parse(request.sides[0].bindAddress, request.sides[0].port);
  const auto b = NetAddress::parse(request.sides[1].bindAddress, request.sides[1].port);
  if (!a || !b) return error(header, WorkerError::PortUnavailable, "not an IPv4 or IPv6 literal");
  std::unique_ptr<Flow> flow = Flow::open(loop_, *a, *b, request.ice);
  if (flow == nullptr) return error(header, WorkerError::PortUnavailable, std::strerror(errno));
  Entry& entry = entries_[header.handle];
  entry.generation = header.generation;
  entry.flow = std::move(flow);
  updateFlow(header, request, *entry.flow);
}

void Worker::updateFlow(const Header& header, const protocol::Flow& request, Flow& flow) {
  std::array<NetAddress, 2> remotes;
  for (std::size_t side = 0; side < 2; ++side) {
    const protocol::FlowSide& wanted = request.sides[side];
    if (wanted.remoteAddress.empty()) continue;
    const auto address = NetAddress::parse(wanted.remoteAddress, wanted.remotePort);
    if (!address || address->family() != flow.local(side).family()) {
      return error(header, WorkerError::BadRemote, "address of a side");
    }
    remotes[side] = *address;
  }
  for (std::size_t side = 0; side < 2; ++side) flow.setRemote(side, remotes[side]);
  replyFlow(header, flow);
}

void Worker::replyFlow(const Header& header, const Flow& flow) {
  protocol::FlowReply reply;
  reply.path = protocol::FlowReplyPath::User;
  const std::array<std::string, 2> hosts{flow.local(0).host(), flow.local(1).host()};
  for (std::size_t side = 0; side < 2; ++side) {
    protocol::FlowEndpoint endpoint;
    endpoint.address = hosts[side];
    endpoint.port = flow.local(side).port();
    endpoint.iceUfrag = flow.credentials(side).ufrag;
    endpoint.icePwd = flow.credentials(side).password;
    reply.sides.push_back(endpoint);
  }
  ok(header, reply);
}

protocol::AssociationStats Worker::flowStats(HandleId id, const Flow& flow) const {
  protocol::AssociationStats record;
  record.handle = id.handle;
  record.generation = id.generation;
  record.state = protocol::AssociationStatsState::Connected;
  record.datagramsIgnored = flow.ignored();
  for (const protocol::StreamStats& side : flow.stats()) {
    record.streams.push_back(side);
    record.bytesReceived += side.bytesReceived;
    record.bytesSent += side.bytesSent;
    record.messagesReceived += side.messagesReceived;
    record.messagesSent += side.messagesSent;
    record.dropped += side.dropped;
  }
  record.datagramsReceived = record.messagesReceived;
  record.datagramsSent = record.messagesSent;
  return record;
}

void Worker::stats(const Header& header, const protocol::Stats& request) {
  protocol::StatsData reply;
  for (const protocol::HandleRef& ref : request.handles) {
    const Entry* entry = live({FrameType::Stats, 0, ref.handle, ref.generation});
    if (entry == nullptr) continue;
    reply.records.push_back(entry->association != nullptr ? entry->association->stats()
                                                          : flowStats({ref.handle, ref.generation}, *entry->flow));
  }
  reply.associations = static_cast<std::uint32_t>(entries_.size());
  reply.memoryBytes = budget_.sample();
  reply.lateFrames = lateFrames_;
  for (const protocol::AssociationStats& record : reply.records) reply.datagramsIgnored += record.datagramsIgnored;
  control_.send({FrameType::StatsData, header.requestId, 0, 0}, reply);
}

void Worker::traceOn(const Header& header, const protocol::Trace& request) {
  Entry* entry = live(header);
  if (entry == nullptr) return error(header, WorkerError::UnknownHandle, "no such handle is live");
  const HandleId id{header.handle, header.generation};
  if (entry->association != nullptr) {
    entry->association->setTrace(request.on);
  } else if (request.on) {
    entry->flow->setTrace([this, id](std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) {
      trace(id, datagram, remote, sent);
    });
  } else {
    entry->flow->setTrace(nullptr);
  }
  ok(header, protocol::TraceReply{});
}

void Worker::drain(const Header& header, const protocol::Drain&) {
  draining_ = true;
  ok(header, protocol::DrainReply{});
}

void Worker::ping(const Header& header, const protocol::Ping&) {
  protocol::Pong pong;
  pong.loopLagUs = loop_.takeLongestTurnUs();
  pong.associations = static_cast<std::uint32_t>(entries_.size());
  control_.send({FrameType::Pong, header.requestId, 0, 0}, pong);
}

// ---- what associations and streams report

StreamTable* Worker::streamsOf(HandleId id) {
  const auto entry = entries_.find(id.handle);
  if (entry == entries_.end() || entry->second.generation != id.generation) return nullptr;
  return entry->second.association != nullptr ? &entry->second.association->streams() : nullptr;
}

void Worker::payloadToEngine(HandleId id, std::uint16_t streamId, protocol::PayloadFromPeerKind kind,
                             std::span<const std::uint8_t> data) {
  protocol::PayloadFromPeer frame;
  frame.streamId = streamId;
  frame.kind = kind;
  frame.data = data;
  payload_.send({FrameType::PayloadFromPeer, 0, id.handle, id.generation}, frame);
}

void Worker::creditToEngine(HandleId id, std::uint16_t streamId, std::uint32_t bytes) {
  protocol::CreditFromWorker frame;
  frame.streamId = streamId;
  frame.bytes = bytes;
  payload_.send({FrameType::CreditFromWorker, 0, id.handle, id.generation}, frame);
}

void Worker::streamChanged(HandleId id, std::uint16_t streamId, bool open, WorkerError code, std::string_view detail) {
  protocol::Stream frame;
  frame.streamId = streamId;
  frame.state = open ? protocol::StreamState::Open : protocol::StreamState::Closed;
  frame.code = static_cast<std::uint16_t>(code);
  frame.detail = detail;
  control_.send({FrameType::Stream, 0, id.handle, id.generation}, frame);
}

void Worker::stateChanged(HandleId id, AssociationState state, WorkerError code, std::string_view detail,
                          const NetAddress& peer) {
  protocol::State frame;
  frame.state = static_cast<protocol::StateState>(state);
  frame.code = static_cast<std::uint16_t>(code);
  frame.detail = detail;
  const std::string host = peer.specified() ? peer.host() : "";
  frame.remoteAddress = host;
  frame.remotePort = peer.specified() ? peer.port() : 0;
  control_.send({FrameType::State, 0, id.handle, id.generation}, frame);
}

void Worker::trace(HandleId id, std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) {
  if (payload_.waiting() > kMaxTraceBacklog || datagram.size() > 2048) return;
  protocol::TraceData frame;
  frame.sent = sent;
  frame.atUs = epochUs();
  const std::string host = remote.host();
  frame.remoteAddress = host;
  frame.remotePort = remote.port();
  frame.datagram = datagram;
  payload_.send({FrameType::TraceData, 0, id.handle, id.generation}, frame);
}

}  // namespace imsdc
