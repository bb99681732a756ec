// One attempt to map a neighbour's arena: to connect, to say hello with this process's ledger, to take the
// memory that is the answer. Nothing of it blocks. One thread.
#pragma once

#include <memory>
#include <string>

#include "src/card.h"
#include "src/ledger.h"
#include "src/neighbours.h"

namespace holdfast {

class AttachAttempt {
 public:
  AttachAttempt(MemberId rank, Card card, Neighbours::Attached attached)
      : rank_(rank), card_(std::move(card)), attached_(std::move(attached)) {}

  /// Readable when it can go on; -1 where nothing tells, as the neighbour has no place for one more who
  /// connects: then it is to be tried again after a while.
  int fd() const noexcept { return view_ ? view_->connection.get() : -1; }

  /// Goes on as far as it can; true when it has ended, and that has been told.
  bool go_on(const std::string& job, const Ledger& ledger);

 private:
  enum class Step : bool { waits, mapped };
  Result<Step> greet(const std::string& job, const Ledger& ledger);
  Result<Step> take_memory();

  MemberId rank_;
  Card card_;
  Neighbours::Attached attached_;
  std::unique_ptr<View> view_;  ///< from the hello on
};

}  // namespace holdfast
