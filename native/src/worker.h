#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "association.h"
#include "flow.h"
#include "frame_socket.h"
#include "memory_budget.h"

namespace imsdc {

/** The media worker: answers the engine's frames and owns everything that a handle stands for. */
class Worker : public AssociationHost {
 public:
  Worker(Loop& loop, UniqueFd control, UniqueFd payload);
  virtual ~Worker();

  [[nodiscard]] int exitCode() const { return exitCode_; }

  // StreamHost, AssociationHost
  StreamTable* streamsOf(HandleId id) override;
  void payloadToEngine(HandleId id, std::uint16_t streamId, protocol::PayloadFromPeerKind kind,
                       std::span<const std::uint8_t> data) override;
  void creditToEngine(HandleId id, std::uint16_t streamId, std::uint32_t bytes) override;
  void streamChanged(HandleId id, std::uint16_t streamId, bool open, protocol::WorkerError code,
                     std::string_view detail) override;
  void wake(HandleId id) override;
  [[nodiscard]] const MediaLimits& limits() const override { return limits_; }
  [[nodiscard]] std::uint64_t nowMs() const override { return loop_.nowMs(); }
  Loop& loop() override { return loop_; }
  DtlsContext& dtls() override { return *dtls_; }
  void stateChanged(HandleId id, AssociationState state, protocol::WorkerError code, std::string_view detail,
                    const NetAddress& peer) override;
  void trace(HandleId id, std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) override;
  [[nodiscard]] std::uint32_t associationTimeoutMs() const override { return associationTimeoutMs_; }
  [[nodiscard]] std::uint32_t heartbeatMs() const override { return heartbeatMs_; }
  std::size_t& halfOpen() override { return halfOpen_; }

 protected:
  virtual std::uint64_t turnStart(std::uint64_t nowMs);
  virtual void turnEnd();
  struct Entry {
    std::uint32_t generation = 0;
    std::unique_ptr<Association> association;  // one of the two
    std::unique_ptr<Flow> flow;
    bool awake = false;
  };
  std::unordered_map<std::uint32_t, Entry> entries_;

 private:
  using Header = protocol::FrameHeader;
  using Body = std::span<const std::uint8_t>;

  void onControl(const Header& header, Body body);
  void onPayload(const Header& header, Body body);
  template <typename Request>
  void request(const Header& header, Body body, void (Worker::*answer)(const Header&, const Request&));
  void hello(const Header& header, const protocol::Hello& hello);
  void reserve(const Header& header, const protocol::Reserve& request);
  void start(const Header& header, const protocol::Start& request);
  void update(const Header& header, const protocol::Update& request);
  void streams(const Header& header, const protocol::Streams& request);
  void route(const Header& header, const protocol::Route& request);
  void flow(const Header& header, const protocol::Flow& request);
  void release(const Header& header, const protocol::Release& request);
  void resetStream(const Header& header, const protocol::ResetStream& request);
  void stats(const Header& header, const protocol::Stats& request);
  void traceOn(const Header& header, const protocol::Trace& request);
  void drain(const Header& header, const protocol::Drain& request);
  void ping(const Header& header, const protocol::Ping& request);

  void updateFlow(const Header& header, const protocol::Flow& request, Flow& flow);
  void setRemotes(const Header& header, const std::array<NetAddress, 2>& remotes, Flow& flow);
  void replyFlow(const Header& header, const Flow& flow);
  protocol::AssociationStats flowStats(HandleId id, const Flow& flow) const;
  template <typename Reply>
  void ok(const Header& header, const Reply& reply);
  void error(const Header& header, protocol::WorkerError code, std::string_view detail);
  Entry* live(const Header& header);
  Association* association(const Header& header);
  bool mayTakeMore(const Header& header);
  void checkBudget();
  void end(int code, const char* reason);

  Loop& loop_;
  FrameSocket control_;
  FrameSocket payload_;
  std::unique_ptr<DtlsContext> dtls_;
  MediaLimits limits_;
  std::uint32_t associationTimeoutMs_ = 60'000;
  std::uint32_t heartbeatMs_ = 25'000;
  std::uint32_t maxAssociations_ = 0;
  MemoryBudget budget_;
  std::deque<HandleId> awake_;
  std::size_t halfOpen_ = 0;
  std::uint64_t lateFrames_ = 0;
  std::uint64_t tickedMs_ = 0;
  std::uint64_t trafficMs_ = 0;
  Timer budgetTimer_;
  bool draining_ = false;
  bool overloaded_ = false;
  int exitCode_ = 0;
};

}  // namespace imsdc
