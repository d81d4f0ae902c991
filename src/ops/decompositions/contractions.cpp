// Sums of products over named dimensions: einsum, tensordot, bilinear, outer. Two tensors at a time
// become a product of matrices whose batch dimensions are the names that both have and that stay.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "ops/decompositions/steps.hpp"

namespace enn {
namespace {

// One character per dimension. The dimensions of an ellipsis have characters below 'A'.
using Labels = std::string;

constexpr char kFirstOfEllipsis = 1;
constexpr std::size_t kMostOfEllipsis = 31;

struct Term {
  ValueId value = kNone;
  Labels labels;
};

bool has(const Labels& labels, char label) { return labels.find(label) != Labels::npos; }

std::int64_t extent_of(const Steps& steps, const Term& term, char label) {
  return steps.shape_of(term.value)[term.labels.find(label)];
}

Labels those(const Labels& labels, const auto& is) {
  Labels out;
  std::ranges::copy_if(labels, std::back_inserter(out), is);
  return out;
}

// The term without the dimensions `gone`, over which it is summed.
Term summed(Steps& steps, const Term& term, const Labels& gone) {
  Steps::List dims;
  for (std::size_t d = 0; d < term.labels.size(); ++d) {
    if (has(gone, term.labels[d])) dims.push_back(static_cast<std::int64_t>(d));
  }
  if (dims.empty()) return term;
  return {steps.reduce("sum", term.value, std::move(dims), false),
          those(term.labels, [&](char label) { return !has(gone, label); })};
}

// The term with its dimensions in the order of `labels`, all of which it has.
ValueId arranged(Steps& steps, const Term& term, const Labels& labels) {
  Steps::List dims;
  for (const char label : labels) {
    dims.push_back(static_cast<std::int64_t>(term.labels.find(label)));
  }
  return steps.permute(term.value, dims);
}

// A name that stands twice in a term names its diagonal.
Result<Term> diagonal(Steps& steps, Term term) {
  for (std::size_t i = 0; i < term.labels.size(); ++i) {
    const std::size_t j = term.labels.find(term.labels[i], i + 1);
    if (j == Labels::npos) continue;
    const char label = term.labels[i];
    TensorType type = steps.type_of(term.value);
    const std::int64_t size = type.shape[i];
    if (type.shape[j] != size) {
      return error(Code::InvalidArgument, "node '", steps.call().name, "' takes the diagonal of ",
                   list_str(type.shape));
    }
    for (const std::size_t dim : {j, i}) {
      type.shape.erase(type.shape.begin() + static_cast<std::ptrdiff_t>(dim));
      term.labels.erase(dim, 1);
    }
    type.shape.push_back(size);
    term.labels.push_back(label);
    term.value = steps.add("aten.diagonal.default",
                           {{"self", TensorArgument{term.value}},
                            {"offset", std::int64_t{0}},
                            {"dim1", static_cast<std::int64_t>(i)},
                            {"dim2", static_cast<std::int64_t>(j)}},
                           std::move(type));
    i = static_cast<std::size_t>(-1);  // from the front again
  }
  return Term(std::move(term));
}

// Both as one product of elements; no name is summed over.
Result<Term> multiplied(Steps& steps, const Term& a, const Term& b, const Labels& names) {
  const auto aligned = [&](const Term& term) {
    const Labels own = those(names, [&](char label) { return has(term.labels, label); });
    ValueId value = arranged(steps, term, own);
    for (std::size_t d = 0; d < names.size(); ++d) {
      if (!has(own, names[d])) value = steps.unsqueeze(value, d);
    }
    return value;
  };
  const ValueId first = aligned(a);
  const ValueId second = aligned(b);
  ENN_ASSIGN(const ValueId product, steps.binary("mul", first, second));
  return Term{product, names};
}

// The dimensions `from` on and up to `to` as one.
ValueId joined(Steps& steps, ValueId value, std::size_t from, std::size_t to) {
  Shape shape = steps.shape_of(value);
  std::int64_t size = 1;
  for (std::size_t d = from; d < to; ++d) {
    size = size == kDynamicSize || shape[d] == kDynamicSize ? kDynamicSize : size * shape[d];
  }
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(from),
              shape.begin() + static_cast<std::ptrdiff_t>(to));
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(from), size);
  return steps.reshape(value, shape);
}

// The product of two terms, summed over the names that are not in `kept`.
Result<Term> contracted(Steps& steps, Term a, Term b, const Labels& kept) {
  const auto summed_alone = [&](const Term& term, const Term& beside) {
    return those(term.labels, [&](char label) {
      if (has(kept, label)) return false;
      if (!has(beside.labels, label)) return true;
      // A dimension of one element goes with any size.
      return extent_of(steps, term, label) != 1 && extent_of(steps, beside, label) == 1;
    });
  };
  for (int i = 0; i < 2; ++i) {
    const Labels gone = summed_alone(a, b);
    a = summed(steps, a, gone);
    b = summed(steps, b, those(b.labels, [&](char label) { return has(gone, label); }));
    std::swap(a, b);
  }
  const auto in_both = [&](char label) { return has(b.labels, label); };
  const Labels batch =
      those(a.labels, [&](char label) { return in_both(label) && has(kept, label); });
  const Labels gone =
      those(a.labels, [&](char label) { return in_both(label) && !has(kept, label); });
  const Labels rows = those(a.labels, [&](char label) { return !in_both(label); });
  const Labels columns = those(b.labels, [&](char label) { return !has(a.labels, label); });
  if (gone.empty()) return multiplied(steps, a, b, batch + rows + columns);
  const std::size_t first = batch.size();
  ValueId left = arranged(steps, a, batch + rows + gone);
  ValueId right = arranged(steps, b, batch + gone + columns);
  left = joined(steps, left, first + rows.size(), first + rows.size() + gone.size());
  left = joined(steps, left, first, first + rows.size());
  right = joined(steps, right, first + gone.size(), first + gone.size() + columns.size());
  right = joined(steps, right, first, first + gone.size());
  ENN_ASSIGN(const ValueId product, steps.matmul(left, right));
  Shape shape = steps.shape_of(product);
  shape.resize(first);
  for (const char label : rows) shape.push_back(extent_of(steps, a, label));
  for (const char label : columns) shape.push_back(extent_of(steps, b, label));
  return Term{steps.reshape(product, shape), batch + rows + columns};
}

Labels names_of(const std::vector<Term>& terms) {
  Labels names;
  for (const Term& term : terms) names += term.labels;
  return names;
}

// All terms as one, in the order of `path` (pairs of places, as opt_einsum writes them) or from the
// left, with the dimensions `out`.
Results contract(Steps& steps, std::vector<Term> terms, const Labels& out,
                 const Steps::List& path) {
  for (Term& term : terms) {
    ENN_ASSIGN(term, diagonal(steps, std::move(term)));
  }
  for (std::size_t step = 0; terms.size() > 1; ++step) {
    std::size_t i = 0;
    std::size_t j = 1;
    if (2 * step + 1 < path.size()) {
      i = static_cast<std::size_t>(std::min(path[2 * step], path[2 * step + 1]));
      j = static_cast<std::size_t>(std::max(path[2 * step], path[2 * step + 1]));
    }
    if (i >= j || j >= terms.size()) {
      return error(Code::InvalidArgument, "node '", steps.call().name, "' has an impossible path");
    }
    const Term a = terms[i];
    const Term b = terms[j];
    terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(j));
    terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(i));
    ENN_ASSIGN(Term both, contracted(steps, a, b, names_of(terms) + out));
    if (path.empty()) {
      terms.insert(terms.begin(), std::move(both));
    } else {
      terms.push_back(std::move(both));
    }
  }
  const Term& last = terms.front();
  const Term left =
      summed(steps, last, those(last.labels, [&](char label) { return !has(out, label); }));
  if (left.labels.size() != out.size()) return std::vector<ValueId>{};
  return std::vector{arranged(steps, left, out)};
}

// The names of one term's dimensions, where `ellipsis` dimensions stand for "...".
std::optional<Labels> expanded(std::string_view text, std::size_t ellipsis) {
  Labels labels;
  bool seen = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("...") && !seen) {
      seen = true;
      i += 2;
      for (std::size_t d = ellipsis; d-- > 0;) {
        labels.push_back(static_cast<char>(kFirstOfEllipsis + static_cast<int>(d)));
      }
    } else if (std::isalpha(static_cast<unsigned char>(text[i])) != 0) {
      labels.push_back(text[i]);
    } else {
      return std::nullopt;
    }
  }
  return labels;
}

std::size_t letters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }));
}

// Without an arrow: the ellipsis, then the names that stand once, in the alphabet's order.
Labels implied(const Labels& names, std::size_t ellipsis) {
  Labels out;
  for (std::size_t d = ellipsis; d-- > 0;) {
    out.push_back(static_cast<char>(kFirstOfEllipsis + static_cast<int>(d)));
  }
  std::map<char, int> counts;
  for (const char label : names) ++counts[label];
  for (const auto& [label, count] : counts) {
    if (label >= 'A' && count == 1) out.push_back(label);
  }
  return out;
}

}  // namespace

Results decompose_einsum(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(std::string equation, args.text("equation", ""));
  ENN_ASSIGN(const std::vector<ValueId> tensors, args.tensors("tensors"));
  ENN_ASSIGN(const Steps::List path, args.integers("path"));
  const auto unreadable = [&] {
    return error(Code::InvalidArgument, "node '", steps.call().name, "' has the equation '",
                 equation, "', which does not fit its operands");
  };
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  std::string_view left = std::string_view(equation).substr(0, arrow);
  std::vector<std::string_view> texts;
  while (true) {
    const std::size_t comma = left.find(',');
    texts.push_back(left.substr(0, comma));
    if (comma == std::string_view::npos) break;
    left.remove_prefix(comma + 1);
  }
  if (texts.size() != tensors.size()) return unreadable();
  std::vector<Term> terms;
  std::size_t ellipsis = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::size_t rank = steps.rank_of(tensors[i]);
    const std::size_t named = letters(texts[i]);
    const bool has_ellipsis = texts[i].find("...") != std::string_view::npos;
    if (named > rank || (named < rank && !has_ellipsis)) return unreadable();
    if (rank - named > kMostOfEllipsis) return std::vector<ValueId>{};
    const auto labels = expanded(texts[i], rank - named);
    if (!labels) return unreadable();
    ellipsis = std::max(ellipsis, rank - named);
    terms.push_back({tensors[i], *labels});
  }
  Labels out = implied(names_of(terms), ellipsis);
  if (arrow != std::string::npos) {
    const auto labels = expanded(std::string_view(equation).substr(arrow + 2), ellipsis);
    if (!labels) return unreadable();
    out = *labels;
  }
  const Labels names = names_of(terms);
  const std::set<char> different(out.begin(), out.end());
  const bool is_made_of_them =
      std::ranges::all_of(out, [&](char label) { return has(names, label); });
  if (different.size() != out.size() || !is_made_of_them) return unreadable();
  return contract(steps, std::move(terms), out, path);
}

Results decompose_tensordot(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId a, args.tensor("self"));
  ENN_ASSIGN(const ValueId b, args.tensor("other"));
  ENN_ASSIGN(const auto dims_a, args.integers("dims_self"));
  ENN_ASSIGN(const auto dims_b, args.integers("dims_other"));
  if (steps.rank_of(a) + steps.rank_of(b) > kMostOfEllipsis || dims_a.size() != dims_b.size())
    return std::vector<ValueId>{};
  Term first{a, {}};
  Term second{b, {}};
  char next = kFirstOfEllipsis;
  for (std::size_t d = 0; d < steps.rank_of(a); ++d) first.labels.push_back(next++);
  for (std::size_t d = 0; d < steps.rank_of(b); ++d) second.labels.push_back(next++);
  for (std::size_t i = 0; i < dims_a.size(); ++i) {
    ENN_ASSIGN(const std::int64_t from, normalized_dim(dims_a[i], steps.rank_of(a)));
    ENN_ASSIGN(const std::int64_t to, normalized_dim(dims_b[i], steps.rank_of(b)));
    if (first.labels.empty() || second.labels.empty()) return std::vector<ValueId>{};
    second.labels[static_cast<std::size_t>(to)] = first.labels[static_cast<std::size_t>(from)];
  }
  Labels out = those(first.labels, [&](char label) { return !has(second.labels, label); });
  out += those(second.labels, [&](char label) { return !has(first.labels, label); });
  return contract(steps, {first, second}, out, {});
}

// x1 W x2 + bias over the last dimensions: "...i, kij, ...j -> ...k".
Results decompose_bilinear(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId a, args.tensor("input1"));
  ENN_ASSIGN(const ValueId b, args.tensor("input2"));
  ENN_ASSIGN(const ValueId weight, args.tensor("weight"));
  ENN_ASSIGN(const ValueId bias, args.optional_tensor("bias"));
  const std::size_t rank = steps.rank_of(a);
  if (rank < 1 || rank > kMostOfEllipsis || steps.rank_of(b) != rank || steps.rank_of(weight) != 3)
    return std::vector<ValueId>{};
  Labels batch;
  for (std::size_t d = 0; d + 1 < rank; ++d) {
    batch.push_back(static_cast<char>(kFirstOfEllipsis + static_cast<int>(d)));
  }
  ENN_ASSIGN(auto results, contract(steps, {{a, batch + "i"}, {weight, "kij"}, {b, batch + "j"}},
                                    batch + "k", {}));
  if (bias != kNone && !results.empty()) {
    ENN_ASSIGN(results.front(), steps.binary("add", results.front(), bias));
  }
  return std::vector<ValueId>(std::move(results));
}

Results decompose_outer(Steps& steps) {
  const Arguments args(steps.call());
  ENN_ASSIGN(const ValueId a, args.tensor("self"));
  ENN_ASSIGN(const ValueId b, args.tensor("vec2"));
  if (steps.rank_of(a) != 1 || steps.rank_of(b) != 1) return std::vector<ValueId>{};
  ENN_ASSIGN(const ValueId product, steps.binary("mul", steps.unsqueeze(a, 1), b));
  return std::vector{product};
}

}  // namespace enn
