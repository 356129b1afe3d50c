// What each request of the engine does, and its answer (docs/media-worker.md).
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "worker.h"

namespace imsdc {

using protocol::FrameType;
using protocol::WorkerError;

namespace {

/** The far ends that `request` names, of the families that its sides are bound to; nothing when one cannot be used. */
std::optional<std::array<NetAddress, 2>> flowRemotes(const protocol::Flow& request, std::array<int, 2> families) {
  std::array<NetAddress, 2> remotes;
  for (std::size_t side = 0; side < 2; ++side) {
    const protocol::FlowSide& wanted = request.sides[side];
    if (wanted.remoteAddress.empty()) continue;
    const auto address = NetAddress::parse(wanted.remoteAddress, wanted.remotePort);
    if (!address || address->family() != families[side]) return std::nullopt;
    remotes[side] = *address;
  }
  return remotes;
}

}  // namespace

template <typename Reply>
void Worker::ok(const Header& header, const Reply& reply) {
  control_.send({FrameType::Ok, header.requestId, header.handle, header.generation}, reply);
}

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
  // Before anything is bound: a handle whose FLOW was refused must not stay live.
  const auto remotes = flowRemotes(request, {a->family(), b->family()});
  if (!remotes) return error(header, WorkerError::BadRemote, "address of a side");
  std::unique_ptr<Flow> flow = Flow::open(loop_, *a, *b, request.ice);
  if (flow == nullptr) return error(header, WorkerError::PortUnavailable, std::strerror(errno));
  Entry& entry = entries_[header.handle];
  entry.generation = header.generation;
  entry.flow = std::move(flow);
  setRemotes(header, *remotes, *entry.flow);
}

void Worker::updateFlow(const Header& header, const protocol::Flow& request, Flow& flow) {
  const auto remotes = flowRemotes(request, {flow.local(0).family(), flow.local(1).family()});
  if (!remotes) return error(header, WorkerError::BadRemote, "address of a side");
  setRemotes(header, *remotes, flow);
}

void Worker::setRemotes(const Header& header, const std::array<NetAddress, 2>& remotes, Flow& flow) {
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

}  // namespace imsdc
