// LSTM, GRU and plain recurrent layers over all their time steps, and their cells, with torch's
// formulas. The product with the input is one layer for all time steps.
#include <algorithm>

#include "ops/decompositions/steps.hpp"

namespace enn {
namespace {

enum class Kind { Lstm, Gru, Tanh, Relu };

// Longer sequences than these would give a graph that nobody wants; they stay whole.
constexpr std::int64_t kMostTimeSteps = std::int64_t{1} << 13;

// The parameters of one layer in one direction; those that it does not have are kNone.
struct Weights {
  ValueId input = kNone;
  ValueId hidden = kNone;
  ValueId input_bias = kNone;
  ValueId hidden_bias = kNone;
  ValueId projection = kNone;  // of an LSTM
};

struct State {
  ValueId hidden = kNone;
  ValueId cell = kNone;  // of an LSTM
};

// Slices of the last dimension.
Result<ValueId> part(Steps& steps, ValueId x, std::int64_t size, std::int64_t first,
                     std::int64_t last) {
  return steps.slice(x, static_cast<std::int64_t>(steps.rank_of(x)) - 1, first * size, last * size);
}

// `size` is that of one gate.
Result<State> lstm_step(Steps& steps, ValueId from_input, const State& state, const Weights& w,
                        std::int64_t size) {
  ENN_ASSIGN(const ValueId recurrent, steps.linear(state.hidden, w.hidden, w.hidden_bias));
  ENN_ASSIGN(const ValueId gates, steps.binary("add", recurrent, from_input));
  ENN_ASSIGN(ValueId in, part(steps, gates, size, 0, 1));
  ENN_ASSIGN(ValueId forget, part(steps, gates, size, 1, 2));
  ENN_ASSIGN(ValueId candidate, part(steps, gates, size, 2, 3));
  ENN_ASSIGN(ValueId out, part(steps, gates, size, 3, 4));
  in = steps.unary("sigmoid", in);
  forget = steps.unary("sigmoid", forget);
  candidate = steps.unary("tanh", candidate);
  out = steps.unary("sigmoid", out);
  ENN_ASSIGN(const ValueId kept, steps.binary("mul", forget, state.cell));
  ENN_ASSIGN(const ValueId added, steps.binary("mul", in, candidate));
  State next;
  ENN_ASSIGN(next.cell, steps.binary("add", kept, added));
  ENN_ASSIGN(next.hidden, steps.binary("mul", out, steps.unary("tanh", next.cell)));
  if (w.projection != kNone) {
    ENN_ASSIGN(next.hidden, steps.linear(next.hidden, w.projection, kNone));
  }
  return State(next);
}

Result<State> gru_step(Steps& steps, ValueId from_input, const State& state, const Weights& w,
                       std::int64_t size) {
  ENN_ASSIGN(const ValueId recurrent, steps.linear(state.hidden, w.hidden, w.hidden_bias));
  ENN_ASSIGN(const ValueId input_gates, part(steps, from_input, size, 0, 2));
  ENN_ASSIGN(const ValueId input_new, part(steps, from_input, size, 2, 3));
  ENN_ASSIGN(const ValueId hidden_gates, part(steps, recurrent, size, 0, 2));
  ENN_ASSIGN(const ValueId hidden_new, part(steps, recurrent, size, 2, 3));
  ENN_ASSIGN(ValueId gates, steps.binary("add", input_gates, hidden_gates));
  gates = steps.unary("sigmoid", gates);
  ENN_ASSIGN(const ValueId reset, part(steps, gates, size, 0, 1));
  ENN_ASSIGN(const ValueId update, part(steps, gates, size, 1, 2));
  ENN_ASSIGN(const ValueId used, steps.binary("mul", reset, hidden_new));
  ENN_ASSIGN(ValueId candidate, steps.binary("add", input_new, used));
  candidate = steps.unary("tanh", candidate);
  ENN_ASSIGN(const ValueId difference, steps.binary("sub", state.hidden, candidate));
  ENN_ASSIGN(const ValueId kept, steps.binary("mul", difference, update));
  State next;
  ENN_ASSIGN(next.hidden, steps.binary("add", kept, candidate));
  return State(next);
}

Result<State> step(Steps& steps, Kind kind, ValueId from_input, const State& state,
                   const Weights& w) {
  const std::int64_t gates = kind == Kind::Lstm ? 4 : kind == Kind::Gru ? 3 : 1;
  const std::int64_t size = steps.shape_of(from_input).back() / gates;
  if (kind == Kind::Lstm) return lstm_step(steps, from_input, state, w, size);
  if (kind == Kind::Gru) return gru_step(steps, from_input, state, w, size);
  ENN_ASSIGN(const ValueId recurrent, steps.linear(state.hidden, w.hidden, w.hidden_bias));
  ENN_ASSIGN(const ValueId sum, steps.binary("add", recurrent, from_input));
  State next;
  next.hidden = steps.unary(kind == Kind::Tanh ? "tanh" : "relu", sum);
  return State(next);
}

struct Sequence {
  ValueId outputs = kNone;
  State last;
};

// One layer in one direction over the dimension `time` of `input`.
Result<Sequence> run(Steps& steps, Kind kind, ValueId input, std::size_t time, State state,
                     const Weights& w, bool reverse) {
  ENN_ASSIGN(const ValueId from_input, steps.linear(input, w.input, w.input_bias));
  const std::int64_t count = steps.shape_of(input)[time];
  std::vector<ValueId> outputs(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t t = reverse ? count - 1 - i : i;
    ENN_ASSIGN(const ValueId now, steps.select(from_input, static_cast<std::int64_t>(time), t));
    ENN_ASSIGN(state, step(steps, kind, now, state, w));
    outputs[static_cast<std::size_t>(t)] = state.hidden;
  }
  return Sequence{steps.stack(outputs, time), state};
}

// The parameters in torch's order.
Result<std::vector<Weights>> read_weights(const Call& call, std::size_t count, bool has_biases,
                                          bool has_projection) {
  ENN_ASSIGN(const std::vector<ValueId> listed, Arguments(call).tensors("params"));
  const std::size_t each = (has_biases ? 4U : 2U) + (has_projection ? 1U : 0U);
  if (listed.size() != count * each) {
    return error(Code::InvalidArgument, "node '", call.name, "' (", call.target, ") has ",
                 listed.size(), " parameters where its ", count, " layers have ", count * each);
  }
  std::vector<Weights> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto* at = listed.data() + i * each;
    Weights& w = out[i];
    w.input = *at++;
    w.hidden = *at++;
    if (has_biases) {
      w.input_bias = *at++;
      w.hidden_bias = *at++;
    }
    if (has_projection) w.projection = *at;
  }
  return std::vector<Weights>(std::move(out));
}

// The first states of all layers: [layers, batch, size].
Result<std::vector<ValueId>> read_states(const Call& call, Kind kind) {
  const Arguments args(call);
  if (kind == Kind::Lstm) return args.tensors("hx");
  ENN_ASSIGN(const ValueId hidden, args.tensor("hx"));
  return std::vector{hidden};
}

struct Options {
  std::int64_t layers = 1;
  bool bidirectional = false;
  std::size_t time = 0;
  double dropout = 0.0;  // in training, between layers
};

Result<Options> read_options(const Call& call) {
  const Arguments args(call);
  Options options;
  ENN_ASSIGN(options.layers, args.integer("num_layers"));
  ENN_ASSIGN(options.bidirectional, args.boolean("bidirectional", false));
  ENN_ASSIGN(const bool batch_first, args.boolean("batch_first", false));
  ENN_ASSIGN(const bool train, args.boolean("train", false));
  if (train) {
    ENN_ASSIGN(options.dropout, args.number("dropout", 0.0));
  }
  options.time = batch_first ? 1 : 0;
  return Options(options);
}

Results layers(Steps& steps, Kind kind) {
  const Arguments args(steps.call());
  ENN_ASSIGN(ValueId x, args.tensor("input"));
  ENN_ASSIGN(const bool has_biases, args.boolean("has_biases", true));
  ENN_ASSIGN(const Options options, read_options(steps.call()));
  ENN_ASSIGN(const std::vector<ValueId> states, read_states(steps.call(), kind));
  const bool ranks_fit = steps.rank_of(x) == 3 && states.size() == (kind == Kind::Lstm ? 2 : 1) &&
                         std::ranges::all_of(states, [&](ValueId id) {
                           return id != kNone && steps.rank_of(id) == 3;
                         });
  const std::int64_t time_steps = ranks_fit ? steps.shape_of(x)[options.time] : 0;
  const std::size_t directions = options.bidirectional ? 2 : 1;
  if (time_steps < 1 || time_steps > kMostTimeSteps || options.layers < 1 ||
      options.layers * time_steps > kMostTimeSteps) {
    return std::vector<ValueId>{};
  }
  const auto count = static_cast<std::size_t>(options.layers) * directions;
  const bool has_projection =
      kind == Kind::Lstm && steps.shape_of(states[0]).back() != steps.shape_of(states[1]).back();
  ENN_ASSIGN(const std::vector<Weights> weights,
             read_weights(steps.call(), count, has_biases, has_projection));
  std::vector<ValueId> hidden;
  std::vector<ValueId> cells;
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(options.layers); ++layer) {
    if (layer > 0 && options.dropout > 0.0) {
      x = steps.add("aten.dropout.default",
                    {{"input", TensorArgument{x}}, {"p", options.dropout}, {"train", true}},
                    steps.type_of(x));
    }
    std::vector<ValueId> outputs;
    for (std::size_t direction = 0; direction < directions; ++direction) {
      const std::size_t at = layer * directions + direction;
      State first;
      ENN_ASSIGN(first.hidden, steps.select(states[0], 0, static_cast<std::int64_t>(at)));
      if (kind == Kind::Lstm) {
        ENN_ASSIGN(first.cell, steps.select(states[1], 0, static_cast<std::int64_t>(at)));
      }
      ENN_ASSIGN(const Sequence sequence,
                 run(steps, kind, x, options.time, first, weights[at], direction == 1));
      outputs.push_back(sequence.outputs);
      hidden.push_back(sequence.last.hidden);
      cells.push_back(sequence.last.cell);
    }
    x = directions == 1 ? outputs.front() : steps.concatenate(outputs, 2);
  }
  std::vector<ValueId> results{x, steps.stack(hidden, 0)};
  if (kind == Kind::Lstm) results.push_back(steps.stack(cells, 0));
  return std::vector<ValueId>(std::move(results));
}

Results cell(Steps& steps, Kind kind) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId input, args.tensor("input"));
  ENN_ASSIGN(const std::vector<ValueId> states, read_states(steps.call(), kind));
  Weights w;
  ENN_ASSIGN(w.input, args.tensor("w_ih"));
  ENN_ASSIGN(w.hidden, args.tensor("w_hh"));
  ENN_ASSIGN(w.input_bias, args.optional_tensor("b_ih"));
  ENN_ASSIGN(w.hidden_bias, args.optional_tensor("b_hh"));
  if (states.size() != (kind == Kind::Lstm ? 2 : 1) || std::ranges::count(states, kNone) != 0)
    return std::vector<ValueId>{};
  ENN_ASSIGN(const ValueId from_input, steps.linear(input, w.input, w.input_bias));
  ENN_ASSIGN(const State next, step(steps, kind, from_input, {states.front(), states.back()}, w));
  if (kind == Kind::Lstm) return std::vector{next.hidden, next.cell};
  return std::vector{next.hidden};
}

}  // namespace

Results decompose_lstm(Steps& steps) { return layers(steps, Kind::Lstm); }
Results decompose_gru(Steps& steps) { return layers(steps, Kind::Gru); }
Results decompose_rnn_tanh(Steps& steps) { return layers(steps, Kind::Tanh); }
Results decompose_rnn_relu(Steps& steps) { return layers(steps, Kind::Relu); }
Results decompose_lstm_cell(Steps& steps) { return cell(steps, Kind::Lstm); }
Results decompose_gru_cell(Steps& steps) { return cell(steps, Kind::Gru); }
Results decompose_rnn_tanh_cell(Steps& steps) { return cell(steps, Kind::Tanh); }
Results decompose_rnn_relu_cell(Steps& steps) { return cell(steps, Kind::Relu); }

}  // namespace enn
