#include "bench_ue.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <sstream>

namespace imsdc::bench {
namespace {

constexpr std::size_t kMessagesPerTurn = 256;
constexpr std::size_t kStampBytes = 8;
constexpr std::size_t kMaxSamples = 1 << 20;

std::uint64_t monotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

UniqueFd connectTo(const std::string& path) {
  UniqueFd descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(descriptor.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return UniqueFd();
  return descriptor;
}

}  // namespace

BenchUe::BenchUe(Loop& loop, UniqueFd control, UniqueFd payload, const std::string& commandPath)
    : Worker(loop, std::move(control), std::move(payload)) {
  commands_ = std::make_unique<Commands>(*this, connectTo(commandPath));
  loop.add(commands_->descriptor(), *commands_);
}

void BenchUe::Commands::onReadable() {
  std::array<char, 4096> buffer{};
  const ssize_t length = recv(descriptor_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (length <= 0) {
    ue_.loop().remove(descriptor_.get(), *this);
    return;
  }
  line_.append(buffer.data(), static_cast<std::size_t>(length));
  for (std::size_t end = line_.find('\n'); end != std::string::npos; end = line_.find('\n')) {
    const std::string answer = ue_.command(std::string_view(line_).substr(0, end)) + "\n";
    if (::send(descriptor_.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return;
    line_.erase(0, end + 1);
  }
}

Association* BenchUe::find(std::uint16_t port) {
  for (auto& [handle, entry] : entries_) {
    if (entry.association != nullptr && entry.association->port()->local().port() == port) {
      return entry.association.get();
    }
  }
  return nullptr;
}

std::string BenchUe::command(std::string_view line) {
  std::istringstream words{std::string(line)};
  std::string verb;
  std::uint16_t port = 0;
  std::uint16_t streamId = 0;
  std::size_t bytes = 0;
  double perSecond = 0;
  words >> verb >> port >> streamId >> bytes >> perSecond;
  if (verb == "stop") {
    loads_.clear();
    return "{}";
  }
  if (verb == "report") return report();
  Association* association = find(port);
  if (association == nullptr) return R"({"error":"no such port"})";
  if (verb == "flood" || verb == "pace") {
    loads_.push_back({port, streamId, std::vector<std::uint8_t>(std::max(bytes, kStampBytes), 'x'),
                      verb == "flood" ? 0 : perSecond, 0, monotonicNs()});
    return "{}";
  }
  if (verb == "sink") {
    for (int times = 0; times < 1000; ++times) association->streams().grant(streamId, UINT32_MAX);
    return "{}";
  }
  return R"({"error":"no such verb"})";
}

void BenchUe::payloadToEngine(HandleId id, std::uint16_t streamId, protocol::PayloadFromPeerKind kind,
                              std::span<const std::uint8_t> data) {
  if (kind == protocol::PayloadFromPeerKind::End) {
    Worker::payloadToEngine(id, streamId, kind, data);
    return;
  }
  ++received_;
  receivedBytes_ += data.size();
  if (data.size() < kStampBytes || latencyNs_.size() >= kMaxSamples) return;
  std::uint64_t stamp = 0;
  std::memcpy(&stamp, data.data(), sizeof stamp);
  latencyNs_.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(monotonicNs() - stamp, UINT32_MAX)));
}

std::uint64_t BenchUe::turnStart(std::uint64_t nowMs) {
  const std::uint64_t due = Worker::turnStart(nowMs);
  if (hungry_) return nowMs;
  const bool paced = std::any_of(loads_.begin(), loads_.end(), [](const Load& load) { return load.perSecond > 0; });
  return paced ? std::min(due, nowMs + 1) : due;
}

void BenchUe::turnEnd() {
  generate();
  Worker::turnEnd();
}

void BenchUe::generate() {
  hungry_ = false;
  for (Load& load : loads_) {
    Association* association = find(load.port);
    if (association == nullptr || association->state() != AssociationState::connected) continue;
    StreamTable& streams = association->streams();
    const std::uint64_t now = monotonicNs();
    if (load.perSecond > 0) {
      load.due += static_cast<double>(now - load.lastNs) * load.perSecond / 1e9;
      load.lastNs = now;
      for (; load.due >= 1; load.due -= 1) {
        if (!sendOne(load, streams, now)) break;
      }
      continue;
    }
    std::size_t count = 0;
    while (count < kMessagesPerTurn && sendOne(load, streams, now)) ++count;
    hungry_ = hungry_ || count == kMessagesPerTurn;
  }
}

bool BenchUe::sendOne(Load& load, StreamTable& streams, std::uint64_t nowNs) {
  if (streams.queuedBytes() > 0) return false;  // SCTP's buffer is full
  std::memcpy(load.message.data(), &nowNs, sizeof nowNs);
  streams.fromEngine(load.streamId, protocol::PayloadKind::Binary, load.message);
  ++sent_;
  return true;
}

std::string BenchUe::report() {
  const auto at = [this](double share) {
    if (latencyNs_.empty()) return 0.0;
    const auto index = static_cast<std::size_t>(static_cast<double>(latencyNs_.size() - 1) * share);
    std::nth_element(latencyNs_.begin(), latencyNs_.begin() + static_cast<std::ptrdiff_t>(index), latencyNs_.end());
    return latencyNs_[index] / 1000.0;
  };
  std::ostringstream json;
  json << R"({"sent":)" << sent_ << R"(,"received":)" << received_ << R"(,"receivedBytes":)" << receivedBytes_
       << R"(,"p50Us":)" << at(0.5) << R"(,"p99Us":)" << at(0.99) << "}";
  sent_ = received_ = receivedBytes_ = 0;
  latencyNs_.clear();
  return json.str();
}

}  // namespace imsdc::bench

int main(int argc, char** argv) {
  using namespace imsdc;
  if (argc != 2) {
    std::fputs("imsdc-bench-ue COMMAND_SOCKET: started by the benchmarks\n", stderr);
    return 64;
  }
  std::signal(SIGPIPE, SIG_IGN);
  Loop loop;
  bench::BenchUe ue(loop, UniqueFd(protocol::kControlDescriptor), UniqueFd(protocol::kPayloadDescriptor), argv[1]);
  loop.run();
  return ue.exitCode();
}
