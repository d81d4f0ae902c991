#include "enn/symbolic_program.hpp"

#include <algorithm>
#include <cstdint>
#include <list>
#include <utility>
#include <vector>

#include "base/guard.hpp"
#include "base/payload_header.hpp"
#include "compiler/compiler.hpp"
#include "runtime/payload.hpp"
#include "symbolic/symbolic_graph.hpp"
#include "symbolic_generated.h"

namespace enn {
namespace {

constexpr std::size_t kBodyAlignment = 16;
constexpr std::size_t kMostSpecializations = 4;

class LoadedSymbolicProgram final : public SymbolicProgram {
 public:
  LoadedSymbolicProgram(SymbolicGraph graph, LoadOptions options)
      : graph_(std::move(graph)), options_(std::move(options)) {
    for (const SymbolicGraph::Input& input : graph_.inputs())
      integer_inputs_.push_back(input.is_integer);
  }

  [[nodiscard]] const std::vector<bool>& integer_inputs() const noexcept override {
    return integer_inputs_;
  }
  [[nodiscard]] std::size_t output_count() const noexcept override { return graph_.output_count(); }

  [[nodiscard]] Result<Program*> specialize(std::span<const Shape> sizes) override {
    return guarded("compile the program for these sizes",
                   [&]() -> Result<Program*> { return known_or_compiled(sizes); });
  }

 private:
  struct Specialization {
    std::vector<Shape> sizes;
    std::vector<std::byte> payload;  // outlives `program`
    std::unique_ptr<Program> program;
  };

  Result<Program*> known_or_compiled(std::span<const Shape> sizes) {
    const auto found = std::ranges::find_if(specializations_, [&](const Specialization& known) {
      return std::ranges::equal(known.sizes, sizes);
    });
    if (found != specializations_.end()) {
      specializations_.splice(specializations_.begin(), specializations_, found);
      return specializations_.front().program.get();
    }
    ENN_ASSIGN(Graph graph, graph_.bind(sizes, options_.max_memory_bytes));
    CompileOptions options;
    options.source_lines = true;  // those that the payload has
    options.input_orders = graph_.input_orders();
    options.output_orders = graph_.output_orders();
    ENN_ASSIGN(CompiledProgram compiled, compile(std::move(graph), options));
    Specialization made{{sizes.begin(), sizes.end()}, std::move(compiled.bytes), nullptr};
    ENN_ASSIGN(made.program, Program::load(made.payload, options_));
    if (specializations_.size() == kMostSpecializations) specializations_.pop_back();
    specializations_.push_front(std::move(made));
    return specializations_.front().program.get();
  }

  SymbolicGraph graph_;
  LoadOptions options_;
  std::vector<bool> integer_inputs_;
  std::list<Specialization> specializations_;  // the last used one first
};

}  // namespace

bool SymbolicProgram::holds(std::span<const std::byte> payload) noexcept {
  constexpr std::size_t kRootAndIdentifier = 8;
  return payload.size() >= kPayloadHeaderBytes + kRootAndIdentifier &&
         symbolic::GraphBufferHasIdentifier(payload.data() + kPayloadHeaderBytes);
}

Result<std::unique_ptr<SymbolicProgram>> SymbolicProgram::load(std::span<const std::byte> payload,
                                                               const LoadOptions& options) {
  return guarded("load the program", [&]() -> Result<std::unique_ptr<SymbolicProgram>> {
    ENN_ASSIGN(std::span<const std::byte> body, open_payload(payload));
    std::vector<std::byte> aligned;
    if (reinterpret_cast<std::uintptr_t>(body.data()) % kBodyAlignment != 0) {
      aligned.assign(body.begin(), body.end());
      body = aligned;
    }
    ENN_ASSIGN(SymbolicGraph graph, SymbolicGraph::read(body));
    std::unique_ptr<SymbolicProgram> out =
        std::make_unique<LoadedSymbolicProgram>(std::move(graph), options);
    return std::unique_ptr<SymbolicProgram>(std::move(out));
  });
}

}  // namespace enn
