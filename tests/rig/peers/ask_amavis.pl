# Has amavis ask a scanner about a directory, which must have a "parts" with a file in it:
# perl -T ask_amavis.pl ENTRY ADDRESS DIRECTORY. ENTRY is how an entry in Debian's list of scanners begins ("Sophie"); it
# is taken as it is, but for the address.
use strict;
use warnings;
use Exporter;
use Amavis::Boot;
use Amavis::Conf qw(:platform :confvars :dynamic_confvars);
use Amavis::AV;

BEGIN { *ask_daemon = \&Amavis::AV::ask_daemon }

my ($wanted, $address, $directory) = map { /(.*)/s; $1 } @ARGV;
open my $list, '<', '/etc/amavis/conf.d/15-av_scanners' or die "15-av_scanners: $!";
my $entries = do { local $/; <$list> };
$entries =~ /^(# \['\Q$wanted\E.*?)^\s*$/ms or die "$wanted is not in the list";
(my $text = $1) =~ s/^#//mg;
my ($entry) = eval "($text)" or die "$wanted: $@";
my ($name, $command, $args, @patterns) = @$entry;
$args->[1] = $address;
# What its main program does before it asks.
$current_policy_bank{'child_timeout'} = 60;
Amavis::Util::switch_to_my_time('rig');
my ($status, $output, $names) =
    ask_daemon(['letter.doc'], {}, $directory, $name, $command, $args, @patterns);
if ($status) { print 'infected: ', $names->[0], "\n" }
elsif (defined $status) { print "clean\n" }
else { print "no verdict: $output\n" }
